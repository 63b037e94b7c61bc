//! Who is waited for, for how long, and what is said meanwhile.

use gateway_ir::ObjectName;
use gateway_translate::{Kind, Reason};

use super::*;

#[test]
fn a_gateway_is_programmed_when_every_node_that_is_heard_runs_it() {
    let mut fleet = Fleet::default();
    assert_eq!(agree(&mut fleet, at(0), Generation(1), vec![]), []);
    fleet.hear(at(0), &[runs("b", 1), runs("c", 1)]);
    assert_eq!(agree(&mut fleet, at(0), Generation(2), vec![web(1)]), []);
    fleet.hear(at(0), &[runs("b", 2), runs("c", 1)]);
    assert_eq!(agree(&mut fleet, at(0), Generation(2), vec![web(1)]), []);
    // A node that is further on has it too.
    fleet.hear(at(1), &[runs("b", 2), runs("c", 3)]);
    assert_eq!(
        agree(&mut fleet, at(1), Generation(3), vec![web(1)]),
        [web(1)]
    );
}

#[test]
fn what_was_said_before_holds_until_all_have_the_new() {
    let mut fleet = Fleet::default();
    fleet.hear(at(0), &[runs("b", 1)]);
    assert_eq!(
        agree(&mut fleet, at(0), Generation(1), vec![web(1)]),
        [web(1)]
    );
    assert_eq!(
        agree(&mut fleet, at(1), Generation(2), vec![web(2)]),
        [web(1)]
    );
    fleet.hear(at(2), &[runs("b", 2)]);
    assert_eq!(
        agree(&mut fleet, at(2), Generation(2), vec![web(2)]),
        [web(2)]
    );
}

#[test]
fn routes_that_come_and_go_and_bad_news_are_not_held_back() {
    let mut fleet = Fleet::default();
    fleet.hear(at(0), &[runs("b", 1)]);
    assert_eq!(
        agree(&mut fleet, at(0), Generation(1), vec![web(1)]),
        [web(1)]
    );
    let mut busy = web(1);
    busy.conditions[0].message = "busy".to_owned();
    assert_eq!(
        agree(&mut fleet, at(1), Generation(2), vec![busy.clone()]),
        [busy]
    );
    let mut broken = web(2);
    broken.conditions[0].status = ConditionStatus::False;
    assert_eq!(
        agree(&mut fleet, at(1), Generation(3), vec![broken.clone()]),
        [broken]
    );
    let route = status(Kind::HttpRoute, 4);
    assert_eq!(
        agree(&mut fleet, at(1), Generation(4), vec![route.clone()]),
        [route]
    );
}

#[test]
fn a_laggard_is_named_after_ten_seconds_and_holds_nobody_up() {
    let mut fleet = Fleet::default();
    fleet.hear(at(0), &[runs("b", 1), runs("c", 1)]);
    assert_eq!(
        agree(&mut fleet, at(0), Generation(1), vec![web(1)]),
        [web(1)]
    );
    assert_eq!(
        agree(&mut fleet, at(5), Generation(2), vec![web(2)]),
        [web(1)]
    );
    fleet.hear(at(6), &[runs("b", 2), runs("c", 1)]);
    assert_eq!(
        agree(&mut fleet, at(14), Generation(2), vec![web(2)]),
        [web(1)]
    );
    assert_eq!(fleet.deadline(at(14)), Some(at(15)));
    let said = agree(&mut fleet, at(15), Generation(2), vec![web(2)]);
    assert_eq!(said[0].conditions[0].message, "not yet on node c");
    assert_eq!(fleet.deadline(at(15)), None);
    // The next change does not wait for it, and it is no longer named when it has caught up.
    fleet.hear(at(20), &[runs("b", 3), runs("c", 1)]);
    let said = agree(&mut fleet, at(20), Generation(3), vec![web(3)]);
    assert_eq!(
        (said[0].generation, said[0].conditions[0].message.as_str()),
        (3, "not yet on node c")
    );
    fleet.hear(at(21), &[runs("b", 3), runs("c", 3)]);
    assert_eq!(
        agree(&mut fleet, at(21), Generation(3), vec![web(3)]),
        [web(3)]
    );
}

#[test]
fn a_node_that_keeps_changing_is_no_laggard_although_it_never_runs_the_same() {
    let mut fleet = Fleet::default();
    fleet.hear(at(0), &[runs("b", 1)]);
    assert_eq!(
        agree(&mut fleet, at(0), Generation(1), vec![web(1)]),
        [web(1)]
    );
    for second in 1..30 {
        fleet.hear(at(second), &[runs("b", 1_000 + second)]);
        let said = agree(&mut fleet, at(second), Generation(1 + second), vec![web(2)]);
        let expected = if second < 11 { web(1) } else { web(2) };
        assert_eq!(said, [expected], "{second}");
    }
}

#[test]
fn a_node_that_is_silent_or_has_just_started_is_not_waited_for() {
    let mut fleet = Fleet::default();
    fleet.hear(at(0), &[runs("b", 1), runs("c", 0)]);
    assert_eq!(
        agree(&mut fleet, at(0), Generation(1), vec![web(1)]),
        [web(1)]
    );
    fleet.hear(at(1), &[]);
    assert_eq!(
        agree(&mut fleet, at(1), Generation(2), vec![web(2)]),
        [web(2)]
    );
}

fn agree(
    fleet: &mut Fleet,
    now: Duration,
    reached: Generation,
    statuses: Vec<ObjectStatus>,
) -> Vec<ObjectStatus> {
    let agreed = fleet.agree(now, reached, &Statuses::from_iter(statuses));
    agreed.iter().cloned().collect()
}

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn runs(node: &str, generation: u64) -> Runs {
    Runs {
        node: NodeName(node.to_owned()),
        generation: Generation(generation),
    }
}

fn web(generation: i64) -> ObjectStatus {
    status(Kind::Gateway, generation)
}

fn status(kind: Kind, generation: i64) -> ObjectStatus {
    let (programmed, holds) = (ConditionType::Programmed, ConditionStatus::True);
    ObjectStatus {
        object: ObjectKey {
            kind,
            name: ObjectName::new("default", "web"),
        },
        generation,
        conditions: vec![Condition::new(programmed, holds, Reason::Programmed, "")],
        addresses: Vec::new(),
        listeners: Vec::new(),
        parents: Vec::new(),
        ancestors: Vec::new(),
        attached_listener_sets: None,
    }
}
