//! Other machines that have an address of ours.

use gateway_ir::ConflictPolicy;

use super::*;
use crate::conflict::ForeignClaim;
use crate::membership::heartbeat::Course;

const FOREIGN: Mac = Mac([2, 0, 0, 0, 0, 0x66]);

#[test]
fn probes_three_times_before_the_first_use_and_only_then_answers() {
    let mut announcer = cautious();
    let mut log = Vec::new();
    announcer.update(at(0), view(&[vip("192.168.2.200")], &[eth0(3)]));
    for ms in 0..=300 {
        announcer.advance(at(ms));
        for command in drain(&mut announcer) {
            match command {
                Command::Send { frame, .. } => log.push((ms, kind(&frame))),
                Command::Answer { until, .. } if until > at(ms) => log.push((ms, "answer")),
                Command::Answer { .. } | Command::Silence { .. } => {}
            }
        }
    }
    let expected = [
        (0, "probe"),
        (100, "probe"),
        (200, "probe"),
        (300, "answer"),
        (300, "request"),
        (300, "reply"),
    ];
    assert_eq!(log, expected);
    assert_eq!(decision(&announcer), Decision::Announce);
}

#[test]
fn address_that_another_machine_has_is_never_told_and_tried_again_later() {
    let mut announcer = cautious();
    announcer.update(at(0), view(&[vip("192.168.2.200")], &[eth0(3)]));
    announcer.contest(at(150), &[claim(FOREIGN, 140)]);
    let in_use = Decision::Withhold(Reason::InUse(FOREIGN));
    assert_eq!(decision(&announcer), in_use);
    drain(&mut announcer);
    for ms in (200..30_000).step_by(50) {
        announcer.advance(at(ms));
        assert_eq!(operations(&drain(&mut announcer)), [], "at {ms} ms");
    }
    for ms in (30_000..30_500).step_by(10) {
        announcer.advance(at(ms));
    }
    assert_eq!(decision(&announcer), Decision::Announce, "it is free again");
}

#[test]
fn defended_address_is_told_again_at_most_every_ten_seconds() {
    let mut announcer = announced(ConflictPolicy::Defend);
    announcer.contest(at(10_010), &[claim(FOREIGN, 10_000)]);
    assert_eq!(operations(&drain(&mut announcer)), [1, 2]);
    announcer.contest(at(11_000), &[claim(FOREIGN, 10_990)]);
    assert_eq!(operations(&drain(&mut announcer)), []);
    announcer.contest(at(20_010), &[claim(FOREIGN, 20_000)]);
    assert_eq!(operations(&drain(&mut announcer)), [1, 2]);
    let owner = announcer.owners(at(0)).remove(0);
    assert_eq!(owner.decision, Decision::Announce);
    assert_eq!(owner.conflict.map(|it| it.mac), Some(FOREIGN));
}

#[test]
fn yielded_address_is_silent_at_once() {
    let mut announcer = announced(ConflictPolicy::Yield);
    announcer.contest(at(10_010), &[claim(FOREIGN, 10_000)]);
    assert_eq!(drain(&mut announcer), [answer("192.168.2.200", 3, 0)]);
    let in_use = Decision::Withhold(Reason::InUse(FOREIGN));
    assert_eq!(decision(&announcer), in_use);
}

#[test]
fn address_is_set_aside_when_a_second_claim_comes_within_ten_seconds() {
    let mut announcer = announced(ConflictPolicy::Reallocate);
    announcer.contest(at(10_010), &[claim(FOREIGN, 10_000)]);
    let commands = drain(&mut announcer);
    assert_eq!(operations(&commands), [1, 2, 1], "it is defended and asked");
    assert_eq!(announcer.aside(), BTreeMap::new());
    announcer.contest(at(20_010), &[claim(FOREIGN, 20_000)]);
    assert_eq!(announcer.aside(), BTreeMap::new(), "that was long ago");
    assert_eq!(decision(&announcer), Decision::Announce);
    drain(&mut announcer);
    announcer.contest(at(20_100), &[claim(FOREIGN, 20_050)]);
    assert_eq!(drain(&mut announcer), [answer("192.168.2.200", 3, 0)]);
    let aside = BTreeMap::from([("192.168.2.200".parse().unwrap(), FOREIGN)]);
    assert_eq!(announcer.aside(), aside);
    let owner = announcer.owners(at(20_100)).remove(0);
    let in_use = Decision::Withhold(Reason::InUse(FOREIGN));
    assert_eq!(owner.decision, in_use);
    assert_eq!(owner.foreign.map(|it| it.course), Some(Course::SetAside));
}

#[test]
fn address_that_another_machine_has_before_the_first_use_is_set_aside_at_once() {
    let mut announcer = cautious();
    let vips = [vip("192.168.2.200")];
    announcer.update(at(0), moving(&vips, &[eth0(3)]));
    announcer.contest(at(150), &[claim(FOREIGN, 140)]);
    let aside: Vec<_> = announcer.aside().into_keys().collect();
    assert_eq!(aside, [vips[0].address]);
    let others = [vip("192.168.2.201")];
    announcer.update(at(200), moving(&others, &[eth0(3)]));
    assert_eq!(announcer.aside().len(), 1, "it stays so");
    announcer.update(at(300), view(&others, &[eth0(3)]));
    assert_eq!(
        announcer.aside().len(),
        0,
        "until it is not wanted any more"
    );
}

#[test]
fn address_that_the_gateway_names_is_defended_where_others_move() {
    let mut announcer = announcer();
    let vips = [Vip {
        choice: Choice::Named,
        ..vip("192.168.2.200")
    }];
    announcer.update(at(0), moving(&vips, &[eth0(3)]));
    (0..=100).for_each(|it| announcer.advance(at(it * 100)));
    drain(&mut announcer);
    for ms in [10_000, 10_500, 11_000] {
        announcer.contest(at(ms + 10), &[claim(FOREIGN, ms)]);
    }
    assert_eq!(operations(&drain(&mut announcer)), [1, 2]);
    assert_eq!(announcer.aside(), BTreeMap::new());
    let owner = announcer.owners(at(11_010)).remove(0);
    assert_eq!(owner.decision, Decision::Announce);
    assert_eq!(owner.foreign.map(|it| it.course), Some(Course::Defended));
    announcer.advance(at(71_000));
    let owner = announcer.owners(at(71_000)).remove(0);
    assert_eq!((owner.conflict, owner.foreign), (None, None), "it is over");
}

#[test]
fn own_frames_old_claims_and_the_same_claim_again_are_no_conflict() {
    let mut announcer = announced(ConflictPolicy::Yield);
    announcer.contest(at(10_010), &[claim(ETH0, 10_000)]);
    assert_eq!(decision(&announcer), Decision::Announce);
    let mut announcer = cautious();
    let vips = [vip("192.168.2.200")];
    announcer.update(at(5000), view(&vips, &[eth0(3)]));
    announcer.contest(at(5010), &[claim(FOREIGN, 4000)]);
    assert_eq!(decision(&announcer), Decision::Withhold(Reason::Probing));
}

#[test]
fn address_that_another_node_had_is_not_probed_for() {
    let mut announcer = announced(ConflictPolicy::Defend);
    // It was lost for a while: the process was frozen.
    announcer.advance(at(30_000));
    let commands = drain(&mut announcer);
    assert_eq!(commands.first(), Some(&answer("192.168.2.200", 3, 31_000)));
}

fn cautious() -> Announcer {
    Announcer::new(Settings {
        lease: LEASE,
        ..Settings::new(NodeName("node-1".into()))
    })
}

fn moving<'a>(vips: &'a [Vip], interfaces: &'a [Interface]) -> View<'a> {
    static RULES: std::sync::OnceLock<AnnounceSettings> = std::sync::OnceLock::new();
    let rules = RULES.get_or_init(|| AnnounceSettings {
        conflicts: ConflictPolicy::Reallocate,
        ..AnnounceSettings::default()
    });
    View {
        rules,
        ..view(vips, interfaces)
    }
}

/// A node that has answered for a while.
fn announced(policy: ConflictPolicy) -> Announcer {
    let rules = AnnounceSettings {
        conflicts: policy,
        ..AnnounceSettings::default()
    };
    let mut announcer = announcer();
    let vips = [vip("192.168.2.200")];
    let interfaces = [eth0(3)];
    let view = View {
        rules: &rules,
        ..view(&vips, &interfaces)
    };
    announcer.update(at(0), view);
    for ms in (0..=10_000).step_by(100) {
        announcer.advance(at(ms));
    }
    drain(&mut announcer);
    announcer
}

fn claim(mac: Mac, seen_ms: u64) -> ForeignClaim {
    ForeignClaim {
        address: "192.168.2.200".parse().expect("an address"),
        interface: 3,
        mac,
        seen: at(seen_ms),
    }
}

fn kind(frame: &[u8]) -> &'static str {
    match (frame[21], &frame[28..32]) {
        (1, [0, 0, 0, 0]) => "probe",
        (1, _) => "request",
        _ => "reply",
    }
}
