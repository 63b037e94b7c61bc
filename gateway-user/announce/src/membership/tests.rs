//! Promises of the membership, as histories of simulated nodes on a network that loses, delays and cuts.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest::{collection, sample};

use self::world::World;
use super::grants::{Giving, Wish};
use super::heartbeat::{Course, Foreign, Stance};
use super::*;

mod pair;
mod world;

/// Steps of histories, all together: what runs at every build. The full run sets another number.
const STEPS: u32 = 4_000;
/// The fewest nodes of a random history.
const NODES_MIN: usize = 3;

#[test]
fn three_nodes_share_the_addresses_evenly_and_soon() {
    let mut world = World::new(3, 6);
    world.run(at(1000));
    assert_eq!(world.unowned(), 0);
    let loads = world.loads();
    assert!(loads.iter().all(|load| *load <= 3), "{loads:?}");
}

#[test]
fn dead_owner_is_replaced_within_half_a_second() {
    let mut world = World::new(3, 6);
    world.run(at(1000));
    world.kill(0);
    world.run(at(500));
    assert_eq!(world.unowned(), 0);
    assert_eq!(world.loads()[0], 0);
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn two_of_five_voters_may_die() {
    let mut world = World::new(5, 10);
    world.run(at(1000));
    world.kill(1);
    world.kill(3);
    world.run(at(600));
    assert_eq!(world.unowned(), 0);
    world.kill(4);
    world.run(at(600));
    assert_eq!(world.unowned(), 10, "two of five are no majority");
}

#[test]
fn thawed_owner_does_not_speak_before_it_has_won_again() {
    let mut world = World::new(3, 3);
    world.run(at(1000));
    world.freeze(0);
    world.run(at(2000));
    assert_eq!(world.unowned(), 0);
    world.thaw(0);
    assert_eq!(world.loads()[0], 0);
    world.run(at(2000));
    assert_eq!(world.rivals, Vec::new());
    assert_eq!(world.unowned(), 0);
}

#[test]
fn restarted_voter_gives_nothing_that_it_may_have_forgotten() {
    let mut world = World::new(3, 3);
    world.run(at(1000));
    world.cut_one_way(1, 0);
    for _ in 0..5 {
        world.kill(2);
        world.start(2);
        world.run(at(100));
    }
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn node_that_leaves_hands_over_without_a_gap() {
    let mut world = World::new(3, 6);
    world.run(at(1000));
    world.leave(0);
    for _ in 0..400 {
        world.run(at(1));
        assert_eq!(world.unowned(), 0);
    }
    assert_eq!(world.loads()[0], 0);
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn newcomer_gets_its_share_and_nothing_else_moves() {
    let mut world = World::new(3, 9);
    world.kill(2);
    world.run(at(2000));
    let before = world.owners();
    world.start(2);
    world.run(at(6000));
    let loads = world.loads();
    assert!(loads.iter().all(|load| *load <= 4), "{loads:?}");
    let after = world.owners();
    let moved = before.iter().filter(|(vip, owner)| after[*vip] != **owner);
    assert!(moved.count() <= loads[2], "{before:?} {after:?}");
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn nothing_moves_back_when_an_owner_returns() {
    let mut world = World::new(3, 3);
    world.run(at(1000));
    world.kill(0);
    world.run(at(1000));
    let before = world.owners();
    world.start(0);
    world.run(at(3000));
    assert_eq!(world.owners(), before);
}

#[test]
fn addresses_go_where_their_endpoints_are_and_elsewhere_only_when_that_node_is_dead() {
    let mut world = World::new(3, 3);
    world.run(at(1000));
    world.favour(2);
    for _ in 0..5000 {
        world.run(at(1));
        assert_eq!(world.unowned(), 0, "it is a planned move");
    }
    assert_eq!(world.loads(), [0, 0, 3]);
    world.kill(2);
    world.run(at(1000));
    assert_eq!(world.unowned(), 0);
    world.start(2);
    world.run(at(6000));
    assert_eq!(world.loads(), [0, 0, 3], "they come back");
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn recorded_heartbeats_change_nothing() {
    let mut world = World::new(3, 3);
    world.run(at(1000));
    let recorded = world.recorded();
    world.kill(0);
    world.start(0);
    world.run(at(1000));
    let before = world.owners();
    for heartbeat in &recorded {
        world.deliver(heartbeat);
    }
    world.run(at(1000));
    assert_eq!(world.owners(), before);
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn node_that_comes_back_with_an_earlier_time_of_day_takes_part_again() {
    let mut world = World::new(3, 3);
    world.run(at(1000));
    world.kill(0);
    world.run(at(1000));
    world.forget_lives(0);
    world.start(0);
    world.run(at(1000));
    world.kill(1);
    world.run(at(1000));
    assert_eq!(world.unowned(), 0, "nodes 0 and 2 are a majority");
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn lease_that_was_won_on_longer_terms_is_respected_by_nodes_with_shorter_ones() {
    let mut world = World::new(3, 3);
    world.set_terms(0, terms(100, 10));
    world.run(at(1500));
    world.isolate(0);
    for _ in 0..1500 {
        world.run(at(1));
        assert_eq!(world.rivals, Vec::new());
    }
    assert_eq!((world.unowned(), world.loads()[0]), (0, 0));
}

#[test]
fn node_that_could_serve_nothing_hands_over_and_does_not_ask() {
    let mut world = World::new(3, 5);
    world.run(at(2000));
    world.serve_only_at(2);
    for _ in 0..4000 {
        world.run(at(1));
        assert_eq!(world.unowned(), 0, "it moved with a gap");
    }
    assert_eq!(world.loads(), [0, 0, 5]);
    world.kill(2);
    world.run(at(3000));
    assert_eq!(world.unowned(), 5, "nobody is of any use");
    world.serve_only_at(1);
    world.run(at(1000));
    assert_eq!(world.loads(), [0, 5, 0]);
}

#[test]
fn voters_say_whom_they_hear_only_to_those_who_do_not_know_yet() {
    let mut world = World::new(5, 5);
    world.run(at(2000));
    let lists = |world: &World, from: usize| {
        let said = world.recorded().into_iter().skip(from);
        said.filter(|it| !it.alive.is_empty()).count()
    };
    let calm = world.recorded().len();
    world.run(at(1000));
    assert_eq!(lists(&world, calm), 0);
    world.kill(4);
    world.run(at(1000));
    let told = lists(&world, calm);
    assert!(told >= 4 * 3, "{told} lists tell of the death");
    let calm = world.recorded().len();
    world.run(at(1000));
    // To the dead one nobody knows what it has heard.
    let to_the_living = |it: &&Heartbeat| !it.alive.is_empty() && it.to != NodeId(104);
    let said = world.recorded();
    assert_eq!(said.iter().skip(calm).filter(to_the_living).count(), 0);
    world.start(4);
    world.run(at(1000));
    assert_eq!(world.heard_by(4), 5);
}

#[test]
fn what_one_node_sets_aside_all_set_aside_also_those_that_start_later() {
    let mut world = World::new(5, 5);
    world.move_from(&["192.168.2.0/24"]);
    world.run(at(1000));
    world.kill(4);
    world.set_aside(3);
    world.run(at(200));
    assert_eq!(world.aside(), [1, 1, 1, 1, 0]);
    world.kill(3);
    world.start(4);
    world.run(at(1000));
    assert_eq!(world.aside(), [1, 1, 1, 0, 1]);
    let recorded = world.recorded();
    world.move_from(&["192.168.2.220-192.168.2.230"]);
    world.run(at(1000));
    assert_eq!(world.aside(), [0; 5], "it is in no pool any more");
    world.move_from(&["192.168.2.0/24"]);
    recorded.iter().for_each(|it| world.deliver(it));
    world.run(at(1000));
    assert_eq!(world.aside(), [0; 5], "those were recordings");
}

#[test]
fn the_lowest_addresses_are_set_aside_when_there_are_too_many() {
    let mut aside = Aside::default();
    aside.follow(&["192.168.0.0/16".parse().unwrap()]);
    let foreign = |last: u8| Foreign {
        address: [192, 168, 2, last].into(),
        course: Course::SetAside,
        mac: Mac([2, 0, 0, 0, 0, last]),
    };
    for last in (100..200).rev() {
        assert_eq!(aside.learn(&[foreign(last)]), Change::Told);
    }
    assert_eq!(aside.learn(&[foreign(164)]), Change::Nothing);
    let kept: Vec<_> = (100..164).map(foreign).collect();
    assert_eq!(aside.list(), kept);
}

/// Also not for a moment, until others have given something away.
#[test]
fn no_node_takes_more_than_its_share_when_nodes_come_and_go() {
    let seeds = std::env::var("SANMON_SPREAD_SEEDS");
    let seeds = seeds.map_or(2, |it| it.parse().expect("a number of seeds"));
    let node = |number: u64| usize::try_from(number % 5).expect("below five");
    for seed in 0..seeds {
        let mut world = World::with_seed(5, 12, seed);
        run_in_bounds(&mut world, 5, 2000);
        let (one, other) = (node(seed), node(seed + 1 + seed / 5 % 4));
        world.kill(one);
        run_in_bounds(&mut world, 4, 800);
        world.kill(other);
        run_in_bounds(&mut world, 3, 800);
        assert_eq!(world.unowned(), 0, "seed {seed}");
        world.start(other);
        run_in_bounds(&mut world, 3, 500);
        run_in_bounds(&mut world, 4, 2500);
        world.start(one);
        run_in_bounds(&mut world, 4, 500);
        run_in_bounds(&mut world, 5, 5500);
        let loads = world.loads();
        assert!(loads.iter().all(|it| *it <= 4), "seed {seed} {loads:?}");
        assert_eq!(world.rivals, Vec::new());
    }
}

/// Lets time pass in which at least so many nodes live, and looks at every moment that nobody takes too much.
fn run_in_bounds(world: &mut World, living: usize, ms: u64) {
    let mut before = world.loads();
    let bound = 12_usize.div_ceil(living) + 1;
    for moment in 0..ms {
        world.run(at(1));
        let loads = world.loads();
        let mut pairs = before.iter().zip(&loads);
        assert!(
            pairs.all(|(before, load)| load <= before || *load <= bound),
            "{moment} ms: {before:?} {loads:?}"
        );
        before = loads;
    }
}

/// Most nodes are in other subnets, which nobody knows but they: their turns pass without a word.
#[test]
fn few_nodes_that_could_answer_take_over_soon_among_many() {
    let mut world = World::new(60, 8);
    world.equip(&[20, 40, 59]);
    world.run(at(2000));
    assert_eq!(world.unowned(), 0);
    for owner in [20, 40] {
        world.kill(owner);
        world.run(at(850));
        assert_eq!(world.unowned(), 0, "after the death of {owner}");
    }
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn successor_keeps_every_address_and_nobody_notices() {
    let mut world = World::new(3, 6);
    world.run(at(1000));
    let before = world.owners();
    for node in 0..3 {
        world.succeed(node, at(30));
        for _ in 0..500 {
            world.run(at(1));
            assert_eq!(world.owners(), before, "node {node}");
        }
    }
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn successor_keeps_its_word_as_a_voter() {
    let mut world = World::new(3, 6);
    world.run(at(1000));
    // Of what the first has, only the second knows, besides the first itself.
    world.cut_one_way(0, 2);
    world.cut_one_way(2, 0);
    world.run(at(1000));
    world.isolate(0);
    world.succeed(1, at(0));
    for _ in 0..1000 {
        world.run(at(1));
        assert_eq!(world.rivals, Vec::new());
    }
    assert_eq!(world.unowned(), 0);
}

/// Something that happens to the network or to a node.
#[derive(Clone, Debug)]
enum Step {
    Run(u64),
    Cut(usize, usize),
    Isolate(usize),
    Heal,
    Loss(u8),
    Delay(u64),
    Kill(usize),
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    Leave(usize),
    Succeed(usize, u64),
    Terms(usize, u64, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..5_usize;
    prop_oneof![
        12 => (1_u64..600).prop_map(Step::Run),
        2 => (node.clone(), node.clone()).prop_map(|(from, to)| Step::Cut(from, to)),
        1 => node.clone().prop_map(Step::Isolate),
        3 => Just(Step::Heal),
        1 => sample::select(vec![0_u8, 10, 40, 80]).prop_map(Step::Loss),
        1 => sample::select(vec![0_u64, 1, 20, 150, 400]).prop_map(Step::Delay),
        1 => node.clone().prop_map(Step::Kill),
        2 => node.clone().prop_map(Step::Start),
        1 => node.clone().prop_map(Step::Freeze),
        2 => node.clone().prop_map(Step::Thaw),
        1 => node.clone().prop_map(Step::Leave),
        2 => (node.clone(), sample::select(vec![0_u64, 5, 60, 250, 700]))
            .prop_map(|(node, pause)| Step::Succeed(node, pause)),
        1 => (node, sample::select(vec![50_u64, 100, 200]), 2_u32..5)
            .prop_map(|(node, beat, count)| Step::Terms(node, beat, count)),
    ]
}

/// Runs the same histories at every build, and new ones, as many as are asked for, in the full run.
fn runner() -> TestRunner {
    let config = |steps: u32| Config {
        cases: steps / 40,
        ..Config::default()
    };
    match std::env::var("SANMON_MEMBERSHIP_STEPS") {
        Ok(steps) => TestRunner::new(config(steps.parse().expect("a number of steps"))),
        Err(_unset) => {
            let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            TestRunner::new_with_rng(config(STEPS), random)
        }
    }
}

/// Whatever happens, no address has two owners; and when a majority can talk again, each has one, and the load is even.
#[test]
fn never_two_owners_and_always_one_when_a_majority_is_connected() {
    let history = (NODES_MIN..=5, any::<u64>(), collection::vec(step(), 10..70));
    let checked = runner().run(&history, |(nodes, seed, steps)| {
        let mut world = World::with_seed(nodes, 5, seed);
        for step in &steps {
            apply(&mut world, step);
            assert_eq!(world.rivals, Vec::new(), "two owners");
        }
        world.heal();
        for node in 0..nodes {
            world.thaw(node);
            // A node whose lease is shorter than the others' beat would hold nothing for long.
            world.set_terms(node, Terms::default());
            world.start(node);
        }
        world.run(at(2000));
        (0..nodes).for_each(|node| world.start(node));
        world.run(at(4000));
        assert_eq!(world.rivals, Vec::new(), "two owners after the end");
        assert_eq!(world.unowned(), 0, "an address without owner");
        let load_max = 5_usize.div_ceil(nodes) + 1;
        assert!(
            world.loads().iter().all(|it| *it <= load_max),
            "{:?}",
            world.loads()
        );
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

/// What a node was granted on longer terms it has, although voters that have restarted since know nothing of it.
#[test]
fn voters_that_restart_after_a_change_to_shorter_terms_wait_for_the_longer_ones() {
    use Step::{Cut, Delay, Freeze, Heal, Kill, Leave, Run, Start, Thaw};
    let steps = [
        Run(2675),
        Step::Terms(2, 200, 3),
        Run(97),
        Freeze(0),
        Thaw(1),
        Run(31),
        Cut(1, 4),
        Cut(1, 2),
        Run(738),
        Kill(4),
        Heal,
        Run(432),
        Heal,
        Freeze(0),
        Start(2),
        Run(433),
        Leave(3),
        Run(253),
        Heal,
        Thaw(0),
        Leave(3),
        Delay(150),
        Run(420),
        Cut(3, 3),
        Heal,
        Run(390),
        Thaw(3),
        Cut(4, 4),
        Step::Terms(2, 50, 4),
        Heal,
        Thaw(0),
        Start(0),
        Start(1),
        Start(2),
        Run(2000),
    ];
    for seed in (0..20).chain([2_828_488_018_361_020_896]) {
        let mut world = World::with_seed(3, 5, seed);
        for step in &steps {
            apply(&mut world, step);
            assert_eq!(world.rivals, Vec::new(), "seed {seed} {step:?}");
        }
    }
}

/// Two voters restart that do not hear how long the third one would answer.
#[test]
fn nobody_counts_on_a_voter_for_longer_than_it_waits_after_a_restart() {
    for seed in 0..20 {
        let mut world = World::with_seed(3, 5, seed);
        world.set_terms(2, terms(200, 3));
        world.favour(2);
        world.run(at(4000));
        assert_eq!(world.loads()[2], 5);
        world.isolate(2);
        for node in 0..2 {
            world.kill(node);
            world.start(node);
        }
        world.run(at(1500));
        assert_eq!((&world.rivals, world.unowned()), (&Vec::new(), 0));
    }
}

/// It has asked already, and counts from then on.
#[test]
fn grant_that_is_handed_over_lasts_as_long_as_the_successor_would_answer() {
    let (vip, one, other) = ([192, 168, 2, 200].into(), NodeId(1), NodeId(2));
    let asked = |stance| [Asked { vip, stance }];
    let longer = terms(200, 3);
    let able = BTreeMap::from([(one, Terms::default()), (other, longer)]);
    let mut grants = Grants::default();
    for stance in [Stance::Held, Stance::Released(other)] {
        let wish = Wish {
            from: one,
            terms: Terms::default(),
            asked: &asked(stance),
            giving: Giving::Anew,
            able: &able,
        };
        assert_eq!(grants.weigh(at(1000), wish), Change::Told);
    }
    grants.expire(at(1000) + longer.grant() - at(1));
    assert_eq!(grants.holder(vip), Some(other));
}

fn apply(world: &mut World, step: &Step) {
    let nodes = world.count();
    match *step {
        Step::Run(ms) => world.run(at(ms)),
        Step::Cut(from, to) => world.cut_one_way(from % nodes, to % nodes),
        Step::Isolate(node) => world.isolate(node % nodes),
        Step::Heal => world.heal(),
        Step::Loss(percent) => world.loss = percent,
        Step::Delay(ms) => world.delay = at(ms),
        Step::Kill(node) => world.kill(node % nodes),
        Step::Start(node) => world.start(node % nodes),
        Step::Freeze(node) => world.freeze(node % nodes),
        Step::Thaw(node) => world.thaw(node % nodes),
        Step::Leave(node) => world.leave(node % nodes),
        Step::Succeed(node, pause) => world.succeed(node % nodes, at(pause)),
        Step::Terms(node, beat, count) => world.set_terms(node % nodes, terms(beat, count)),
    }
}

fn terms(beat_ms: u64, count: u32) -> Terms {
    Terms {
        beat: at(beat_ms),
        lease: at(beat_ms) * count,
    }
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
