//! Faults at random instants: never do two nodes answer in turn, and soon one does.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use gateway_vm_tests::nodes::{Fault, Nodes, Seen, on_nodes};

/// A machine that stands still for so long lets leases run out by itself: the fault has to happen again.
const HELD_UP_MAX: Duration = Duration::from_millis(150);
const ATTEMPTS_MAX: u32 = 5;
/// The promise is a second; a busy machine that freezes all parts of the test at once is not what is tested.
const GAP_MAX: Duration = Duration::from_millis(2500);
/// The owner that ends answers until it hears that its successor does; a busy machine hears late.
const HANDOVER_MAX: Duration = Duration::from_millis(400);

#[test]
fn three_nodes_bear_faults_at_random_instants() -> anyhow::Result<()> {
    on_nodes("three_nodes_bear_faults_at_random_instants", 3, |nodes| {
        bear(nodes, &[Fault::Mute, Fault::Deaf, Fault::Isolate])
    })
}

#[test]
fn two_nodes_bear_faults_at_random_instants() -> anyhow::Result<()> {
    on_nodes("two_nodes_bear_faults_at_random_instants", 2, |nodes| {
        bear(nodes, &[Fault::Freeze, Fault::Terminate])
    })
}

/// Each of some faults once; in a full run each of all as often as `SANMON_FAULT_ROUNDS` says.
fn bear(nodes: &mut Nodes, few: &[Fault]) -> anyhow::Result<()> {
    let (rounds, faults) = match std::env::var("SANMON_FAULT_ROUNDS") {
        Ok(rounds) => (rounds.parse()?, Fault::ALL.as_slice()),
        Err(_unset) => (1, few),
    };
    let mut random = u64::from(std::process::id());
    for _ in 0..rounds {
        for fault in faults {
            // A heartbeat and a half: the instants fall everywhere between two.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let before = Duration::from_micros(100_000 + (random >> 32) % 150_000);
            bear_one(nodes, *fault, before).with_context(|| format!("{fault} after {before:?}"))?;
        }
    }
    Ok(())
}

fn bear_one(nodes: &mut Nodes, fault: Fault, before: Duration) -> anyhow::Result<()> {
    for _ in 1..ATTEMPTS_MAX {
        let (owner, seen) = nodes.fail_over(fault, before)?;
        if seen.held_up() < HELD_UP_MAX {
            return judge(nodes, fault, owner, &seen);
        }
    }
    let (owner, seen) = nodes.fail_over(fault, before)?;
    judge(nodes, fault, owner, &seen)
}

fn judge(nodes: &Nodes, fault: Fault, owner: usize, seen: &Seen) -> anyhow::Result<()> {
    let macs = seen.macs();
    ensure!(
        macs.first() == Some(&nodes.mac(owner)),
        "the answers came from {macs:02x?}"
    );
    match fault {
        Fault::Terminate => {
            let overlap = seen.overlap();
            ensure!(
                overlap <= HANDOVER_MAX,
                "two nodes answered for {overlap:?}: {macs:02x?}"
            );
        }
        Fault::Kill
        | Fault::Freeze
        | Fault::LinkDown
        | Fault::Mute
        | Fault::Deaf
        | Fault::Isolate => {
            let distinct: BTreeSet<_> = macs.iter().collect();
            ensure!(
                distinct.len() == macs.len(),
                "a node answered again after another: {macs:02x?}"
            );
        }
    }
    seen.expect_gap_below(GAP_MAX)
}
