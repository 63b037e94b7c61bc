//! Nodes on a bad network: late, lost, doubled and disordered frames, and a switch that forgets, make no second owner.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use gateway_vm_tests::nodes::{Fault, Nodes, Seen, on_nodes};
use gateway_vm_tests::{Impairment, Relay};

/// The promise is a second; a busy machine that freezes all parts of the test at once is not what is tested.
const GAP_MAX: Duration = Duration::from_millis(2500);
/// How long nothing happens at first.
const BEFORE: Duration = Duration::from_millis(300);
/// How long the trouble is watched.
const WATCHED: Duration = Duration::from_millis(2500);

#[test]
fn owner_that_dies_is_followed_although_frames_are_late_doubled_and_disordered()
-> anyhow::Result<()> {
    let test = "owner_that_dies_is_followed_although_frames_are_late_doubled_and_disordered";
    on_nodes(test, 3, |nodes| {
        let trouble = Impairment::NONE
            .delay(Duration::from_millis(5))
            .reorder(Duration::from_millis(20))
            .duplicate(30);
        let _stretches = impair_all(nodes, trouble)?;
        let (owner, seen) = nodes.fail_over(Fault::Kill, BEFORE)?;
        moved_on(nodes, owner, &seen)
    })
}

#[test]
fn owner_that_dies_is_followed_although_frames_are_lost() -> anyhow::Result<()> {
    let test = "owner_that_dies_is_followed_although_frames_are_lost";
    on_nodes(test, 3, |nodes| {
        let _stretches = impair_all(nodes, Impairment::NONE.lose(3))?;
        let (owner, seen) = nodes.fail_over(Fault::Kill, BEFORE)?;
        moved_on(nodes, owner, &seen)
    })
}

#[test]
fn owner_that_hears_too_late_falls_silent_before_another_speaks() -> anyhow::Result<()> {
    let test = "owner_that_hears_too_late_falls_silent_before_another_speaks";
    on_nodes(test, 3, |nodes| {
        let owner = nodes.owner()?;
        let stretch = nodes.lan.relay(&nodes.hosts[owner])?;
        // What it hears is older than any lease: every answer is there, and none counts.
        let late = Impairment::NONE.delay(Duration::from_millis(400));
        let seen = nodes.probe(BEFORE, WATCHED, |_| {
            stretch.impair_to_host(late);
            Ok(())
        })?;
        moved_on(nodes, owner, &seen)?;
        // It does not come back when it hears in time again.
        let seen = nodes.probe(BEFORE, WATCHED, |_| {
            stretch.impair_to_host(Impairment::NONE);
            Ok(())
        })?;
        never_in_turn(&seen)?;
        ensure!(
            !seen.macs().contains(&nodes.mac(owner)),
            "the former owner answers again"
        );
        Ok(())
    })
}

#[test]
fn switch_that_learns_nothing_changes_nothing() -> anyhow::Result<()> {
    let test = "switch_that_learns_nothing_changes_nothing";
    on_nodes(test, 3, |nodes| {
        let flood = |it: &Nodes| {
            it.lan.forget_after(0)?;
            it.lan.forget()
        };
        let seen = nodes.probe(BEFORE, WATCHED, flood)?;
        never_in_turn(&seen)?;
        seen.expect_gap_below(GAP_MAX)?;
        let (owner, seen) = nodes.fail_over(Fault::Kill, BEFORE)?;
        moved_on(nodes, owner, &seen)
    })
}

/// Puts every node behind a bad stretch, in both directions.
fn impair_all(nodes: &Nodes, trouble: Impairment) -> anyhow::Result<Vec<Relay>> {
    let stretches = nodes.hosts.iter().map(|host| {
        let stretch = nodes.lan.relay(host)?;
        stretch.impair_to_host(trouble);
        stretch.impair_to_switch(trouble);
        Ok(stretch)
    });
    stretches.collect()
}

/// After the owner another node has answered, and soon.
fn moved_on(nodes: &Nodes, owner: usize, seen: &Seen) -> anyhow::Result<()> {
    let macs = seen.macs();
    ensure!(
        macs.len() > 1 && macs.first() == Some(&nodes.mac(owner)),
        "the answers came from {macs:02x?}"
    );
    never_in_turn(seen)?;
    seen.expect_gap_below(GAP_MAX)
}

/// No node has answered again after another one had: on a busy machine an address may move twice, and never back and forth.
fn never_in_turn(seen: &Seen) -> anyhow::Result<()> {
    let macs = seen.macs();
    let distinct: BTreeSet<_> = macs.iter().collect();
    ensure!(
        distinct.len() == macs.len(),
        "the answers came from {macs:02x?}"
    );
    Ok(())
}
