//! Promises of two nodes and a router: availability first, and never two owners but for the holes that are named.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, sample};

use super::super::pair::Hindrance;
use super::world::{ROUTER, World};
use super::{at, runner, terms};

#[test]
fn survivor_of_two_takes_everything_within_a_second() {
    for seed in 1..20 {
        let mut world = World::pair(4, seed);
        world.run(at(1500));
        assert_eq!(world.unowned(), 0);
        world.kill(0);
        world.run(at(800));
        assert_eq!(world.unowned(), 0, "seed {seed}");
        world.start(0);
        world.run(at(5000));
        assert_eq!(world.rivals, Vec::new());
        assert!(
            world.loads().iter().all(|it| *it >= 1),
            "{:?}",
            world.loads()
        );
    }
}

#[test]
fn one_of_two_starts_alone_when_the_router_answers() {
    let mut world = World::pair(3, 1);
    world.kill(1);
    world.run(at(1500));
    assert_eq!((world.unowned(), world.loads()[0]), (0, 3));
}

#[test]
fn node_that_is_cut_off_from_all_falls_silent_and_the_other_takes_over() {
    let mut world = World::pair(4, 1);
    world.run(at(1500));
    world.isolate(0);
    world.run(at(800));
    assert_eq!((world.unowned(), world.loads()[0]), (0, 0));
    assert_eq!(world.hindrance(0), Some(Hindrance::WitnessesSilent));
    world.heal();
    world.run(at(3000));
    assert_eq!((world.unowned(), world.rivals.len()), (0, 0));
}

#[test]
fn owners_stay_when_only_the_nodes_do_not_hear_each_other() {
    let mut world = World::pair(4, 1);
    world.run(at(1500));
    let before = world.owners();
    world.cut_one_way(0, 1);
    world.cut_one_way(1, 0);
    for _ in 0..3000 {
        world.run(at(1));
        assert_eq!(world.owners(), before, "{:?}", world.hindrance(0));
    }
    assert_eq!(world.hindrance(1), Some(Hindrance::OtherAnswers));
}

#[test]
fn node_that_is_heard_and_hears_nothing_is_replaced() {
    let mut world = World::pair(4, 1);
    world.run(at(1500));
    world.cut_one_way(1, 0);
    world.cut_one_way(ROUTER, 0);
    world.run(at(900));
    assert_eq!((world.unowned(), world.loads()[0]), (0, 0));
    assert_eq!(world.rivals, Vec::new());
}

#[test]
fn owners_stay_when_the_router_is_down() {
    let mut world = World::pair(4, 1);
    world.run(at(1500));
    let before = world.owners();
    world.isolate(ROUTER);
    world.run(at(3000));
    assert_eq!(world.owners(), before);
}

#[test]
fn without_the_router_nobody_takes_over() {
    let mut world = World::pair(4, 1);
    world.run(at(1500));
    world.isolate(ROUTER);
    world.kill(0);
    world.run(at(3000));
    assert_ne!(world.unowned(), 0);
    assert_eq!(world.hindrance(1), Some(Hindrance::WitnessesSilent));
}

#[test]
fn survivor_takes_addresses_of_both_families() {
    let mut world = World::pair(2, 1);
    let vip = "fd00::200".parse().expect("an address");
    world.add_vip(vip);
    world.run(at(1500));
    assert_eq!(world.unowned(), 0);
    world.kill(world.owners()[&vip].expect("an owner"));
    world.run(at(900));
    assert_eq!((world.unowned(), world.rivals.len()), (0, 0));
}

#[test]
fn arbiter_decides_where_the_router_cannot_show_the_other_node() {
    let mut world = World::pair(4, 1);
    world.hairpin = false;
    world.api = [0, 1].into();
    world.run(at(1500));
    world.cut_one_way(0, 1);
    world.cut_one_way(1, 0);
    world.run(at(3000));
    assert_eq!((world.unowned(), world.rivals.len()), (0, 0));
    assert!(
        world.loads().contains(&4),
        "one has all: {:?}",
        world.loads()
    );
}

#[test]
fn two_owners_of_the_named_hole_are_one_as_soon_as_they_hear_each_other() {
    let mut world = World::pair(4, 1);
    world.hairpin = false;
    world.run(at(1500));
    world.cut_one_way(0, 1);
    world.cut_one_way(1, 0);
    world.run(at(2000));
    assert_eq!(world.loads(), [4, 4], "this is the hole");
    world.heal();
    world.run(at(400));
    assert_eq!(world.loads().iter().sum::<usize>(), 4);
    world.run(at(2000));
    assert_eq!(world.unowned(), 0);
}

/// Something that happens to two nodes and what is between them.
#[derive(Clone, Debug)]
enum Step {
    Run(u64),
    Cut(usize, usize),
    Isolate(usize),
    Heal,
    Delay(u64),
    Kill(usize),
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    Leave(usize),
    Terms(usize, u64, u32),
    Api(usize, bool),
    Hairpin(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let place = || sample::select(vec![0, 1, ROUTER]);
    let node = 0..2_usize;
    prop_oneof![
        12 => (1_u64..800).prop_map(Step::Run),
        4 => (place(), place()).prop_map(|(from, to)| Step::Cut(from, to)),
        1 => place().prop_map(Step::Isolate),
        3 => Just(Step::Heal),
        1 => sample::select(vec![0_u64, 1, 20, 150, 400]).prop_map(Step::Delay),
        1 => node.clone().prop_map(Step::Kill),
        2 => node.clone().prop_map(Step::Start),
        1 => node.clone().prop_map(Step::Freeze),
        2 => node.clone().prop_map(Step::Thaw),
        1 => node.clone().prop_map(Step::Leave),
        1 => (node.clone(), sample::select(vec![50_u64, 100, 200]), 2_u32..5)
            .prop_map(|(node, beat, count)| Step::Terms(node, beat, count)),
        1 => (node, any::<bool>()).prop_map(|(node, on)| Step::Api(node, on)),
        1 => any::<bool>().prop_map(Step::Hairpin),
    ]
}

/// Whatever happens, no address has two owners but in the named holes; and when all is well again, each has one.
#[test]
fn never_two_owners_of_two_but_in_the_named_holes() {
    let history = (any::<u64>(), collection::vec(step(), 10..70));
    let checked = runner().run(&history, |(seed, steps)| {
        let mut world = World::pair(4, seed);
        for step in &steps {
            apply(&mut world, step);
            assert_eq!(world.rivals, Vec::new(), "two owners");
        }
        world.heal();
        world.hairpin = true;
        (0..2).for_each(|node| world.thaw(node));
        // A node whose lease is shorter than the other's beat would hold nothing for long.
        (0..2).for_each(|node| world.set_terms(node, super::Terms::default()));
        (0..2).for_each(|node| world.start(node));
        world.run(at(2000));
        (0..2).for_each(|node| world.start(node));
        world.run(at(4000));
        assert_eq!(world.rivals, Vec::new(), "two owners after the end");
        assert_eq!(world.unowned(), 0, "an address without owner");
        assert_eq!(
            world.loads().iter().sum::<usize>(),
            4,
            "an address with two"
        );
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

/// Each node took the other's lease for as long as it was before they were cut from each other.
#[test]
fn terms_that_change_while_the_nodes_are_cut_make_no_two_owners() {
    use Step::{Api, Cut, Heal, Leave, Run, Start};
    let steps = [
        Cut(1, 0),
        Run(182),
        Start(0),
        Heal,
        Run(596),
        Step::Delay(1),
        Cut(0, 1),
        Cut(0, 1),
        Run(445),
        Step::Terms(0, 100, 2),
        Run(417),
        Api(0, true),
        Step::Terms(1, 200, 2),
        Step::Isolate(1),
        Run(904),
        Leave(0),
        Step::Isolate(1),
        Api(0, false),
        Run(560),
        Step::Isolate(0),
        Heal,
        Run(612),
        Start(1),
        Heal,
        Step::Freeze(1),
        Run(500),
    ];
    for seed in 0..50 {
        let mut world = World::pair(4, seed);
        for step in &steps {
            apply(&mut world, step);
            assert_eq!(world.rivals, Vec::new(), "seed {seed}");
        }
    }
}

/// The one that leaves took longer terms back, and did not hear in time that the other has taken over.
#[test]
fn address_that_was_handed_over_is_not_kept_by_witnesses() {
    use Step::{Delay, Leave, Run, Terms};
    let steps = [
        Run(879),
        Terms(0, 200, 2),
        Run(2113),
        Terms(0, 50, 4),
        Leave(0),
        Delay(400),
        Run(600),
    ];
    for seed in (0..200).chain([6_553_951_815_992_870_192]) {
        let mut world = World::pair(4, seed);
        for step in &steps {
            apply(&mut world, step);
            assert_eq!(world.rivals, Vec::new(), "seed {seed}");
        }
    }
}

/// The restarted one does not hear that the other one has a longer lease.
#[test]
fn nobody_counts_on_the_other_for_longer_than_it_waits_after_a_restart() {
    use Step::{Cut, Leave, Run, Start, Terms};
    let steps = [
        Cut(ROUTER, 1),
        Run(331),
        Terms(1, 200, 3),
        Leave(0),
        Run(225),
        Cut(1, 0),
        Start(0),
        Run(2000),
    ];
    for seed in (0..50).chain([2_079_537_464_946_308_786]) {
        let mut world = World::pair(4, seed);
        for step in &steps {
            apply(&mut world, step);
            assert_eq!(world.rivals, Vec::new(), "seed {seed}");
        }
    }
}

/// It took an address on what witnesses answered before it was cut off: nobody can have seen it answer.
#[test]
fn node_that_is_cut_off_while_it_takes_an_address_falls_silent_soon() {
    use Step::{Delay, Isolate, Run};
    let steps = [Delay(400), Run(386), Isolate(0), Run(800)];
    for seed in (0..50).chain([3_948_204_435_707_991_394]) {
        let mut world = World::pair(4, seed);
        for step in &steps {
            apply(&mut world, step);
            assert_eq!(world.rivals, Vec::new(), "seed {seed}");
        }
    }
}

/// The last answer of the witnesses came a moment after it had taken the address: too short a time for the other node to
/// have asked.
#[test]
fn node_that_is_cut_off_just_after_it_has_taken_an_address_falls_silent_soon() {
    for seed in (0..5).chain([4_512_254_120_692_724_718]) {
        for moment in 420..480 {
            let mut world = World::pair(4, seed);
            world.cut_one_way(1, 0);
            world.run(at(moment));
            world.isolate(1);
            world.run(at(110));
            world.heal();
            world.run(at(500));
            assert_eq!(world.rivals, Vec::new(), "seed {seed}, {moment} ms");
        }
    }
}

fn apply(world: &mut World, step: &Step) {
    match *step {
        Step::Run(ms) => world.run(at(ms)),
        Step::Cut(from, to) if from != to => world.cut_one_way(from, to),
        Step::Cut(..) => {}
        Step::Isolate(node) => world.isolate(node),
        Step::Heal => world.heal(),
        Step::Delay(ms) => world.delay = at(ms),
        Step::Kill(node) => world.kill(node),
        Step::Start(node) => world.start(node),
        Step::Freeze(node) => world.freeze(node),
        Step::Thaw(node) => world.thaw(node),
        Step::Leave(node) => world.leave(node),
        Step::Terms(node, beat, count) => world.set_terms(node, terms(beat, count)),
        Step::Api(node, true) => drop(world.api.insert(node)),
        Step::Api(node, false) => drop(world.api.remove(&node)),
        Step::Hairpin(on) => world.hairpin = on,
    }
}
