//! What a process leaves to the next one.

use gateway_ir::ConflictPolicy;

use super::*;
use crate::conflict::ForeignClaim;

const BOTH: [&str; 2] = ["192.168.2.200", "192.168.2.201"];

#[test]
fn successor_answers_at_once_and_takes_back_first_what_it_does_not_hold() {
    let legacy = first().bequeath();
    let mut second = cautious();
    second.inherit(legacy);
    second.update(at(1010), view(&[vip(BOTH[0])], &[eth0(3)]));

    let commands = drain(&mut second);
    assert!(commands.contains(&silence(BOTH[1], 3)), "{commands:?}");
    assert!(!commands.contains(&silence(BOTH[0], 3)), "{commands:?}");
    let answered = commands.iter().any(|command| match command {
        Command::Answer { address, until, .. } => {
            *address == vip(BOTH[0]).address && *until > at(1010)
        }
        Command::Silence { .. } | Command::Send { .. } => false,
    });
    assert!(answered, "{commands:?}");
    assert_eq!(decision(&second), Decision::Announce);
}

#[test]
fn successor_asks_again_about_what_another_machine_had() {
    let mut first = first();
    first.rules.conflicts = ConflictPolicy::Yield;
    first.contest(at(1006), &[claim()]);
    let mut second = cautious();
    second.inherit(first.bequeath());
    second.update(at(1010), view(&[vip(BOTH[0])], &[eth0(3)]));
    assert_eq!(decision(&second), Decision::Withhold(Reason::Probing));
}

#[test]
fn successor_is_not_told_anew_of_a_claim_that_is_over() {
    let mut first = first();
    first.rules.conflicts = ConflictPolicy::Yield;
    first.contest(at(1006), &[claim()]);
    for ms in (1010..=40_000).step_by(10) {
        first.advance(at(ms));
    }
    assert_eq!(decision(&first), Decision::Announce, "it is free again");

    let mut second = cautious();
    second.inherit(first.bequeath());
    let rules = AnnounceSettings {
        conflicts: ConflictPolicy::Yield,
        ..AnnounceSettings::default()
    };
    let (vips, interfaces) = ([vip(BOTH[0])], [eth0(3)]);
    let view = View {
        rules: &rules,
        ..view(&vips, &interfaces)
    };
    second.update(at(40_010), view);
    // The kernel's map still has it.
    second.contest(at(40_020), &[claim()]);
    assert_eq!(decision(&second), Decision::Announce);
}

#[test]
fn another_node_inherits_no_membership() {
    let mut other = Announcer::new(Settings::new(NodeName("other".to_owned())));
    other.inherit(first().bequeath());
    assert!(other.past.is_none());
}

fn claim() -> ForeignClaim {
    ForeignClaim {
        address: vip(BOTH[0]).address,
        interface: 3,
        mac: Mac([2, 0, 0, 0, 0, 0x66]),
        seen: at(1005),
    }
}

/// A node that answers for both addresses.
fn first() -> Announcer {
    let mut first = cautious();
    first.update(at(0), view(&BOTH.map(vip), &[eth0(3)]));
    for ms in (0..=1000).step_by(10) {
        first.advance(at(ms));
    }
    drain(&mut first);
    first
}

fn cautious() -> Announcer {
    Announcer::new(Settings::new(NodeName("this".to_owned())))
}
