//! Several nodes on a LAN: exactly one answers for the VIP, whatever happens to it, and another one soon.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gateway_vm_tests::bed::PATIENCE;
use gateway_vm_tests::nodes::{Fault, on_nodes, secret};

/// The promise is a second; a busy machine that freezes all parts of the test at once is not what is tested.
const GAP_MAX: Duration = Duration::from_millis(2000);
/// The same for a move that was planned: 50 ms are promised.
const PLANNED_GAP_MAX: Duration = Duration::from_millis(250);
/// How long is asked before something happens, and after that.
const BEFORE: Duration = Duration::from_millis(150);
const AFTER: Duration = Duration::from_millis(2350);

#[test]
fn killed_owner_is_replaced_within_a_second() -> anyhow::Result<()> {
    on_nodes("killed_owner_is_replaced_within_a_second", 3, |nodes| {
        let owner = nodes.owner()?;
        let seen = nodes.probe(BEFORE, AFTER, |it| it.inflict(Fault::Kill, owner))?;
        seen.expect_one_change(nodes.mac(owner), GAP_MAX)
    })
}

#[test]
fn owner_and_another_of_five_die_at_once_and_the_rest_are_a_majority() -> anyhow::Result<()> {
    let test = "owner_and_another_of_five_die_at_once_and_the_rest_are_a_majority";
    on_nodes(test, 5, |nodes| {
        let owner = nodes.owner()?;
        let other = (owner + 1) % 5;
        let seen = nodes.probe(BEFORE, AFTER, |it| {
            it.inflict(Fault::Kill, other)?;
            it.inflict(Fault::Kill, owner)
        })?;
        seen.expect_one_change(nodes.mac(owner), GAP_MAX)?;
        ensure!(nodes.owner()? != other, "a dead node answers");
        Ok(())
    })
}

#[test]
fn frozen_owner_is_replaced_and_stays_silent_when_it_thaws() -> anyhow::Result<()> {
    let test = "frozen_owner_is_replaced_and_stays_silent_when_it_thaws";
    on_nodes(test, 3, |nodes| {
        let owner = nodes.owner()?;
        let frozen = nodes.probe(BEFORE, AFTER, |it| it.inflict(Fault::Freeze, owner))?;
        frozen.expect_one_change(nodes.mac(owner), GAP_MAX)?;
        nodes.repair(Fault::Freeze, owner)?;
        let thawed = nodes.probe(BEFORE, AFTER, |_| Ok(()))?;
        ensure!(
            thawed.macs().iter().all(|mac| *mac != nodes.mac(owner)),
            "the thawed node has answered"
        );
        thawed.expect_gap_below(GAP_MAX)
    })
}

#[test]
fn owner_that_is_cut_off_is_replaced_and_does_not_answer_beside_its_successor() -> anyhow::Result<()>
{
    let test = "owner_that_is_cut_off_is_replaced_and_does_not_answer_beside_its_successor";
    on_nodes(test, 3, |nodes| {
        let owner = nodes.owner()?;
        let cut = nodes.probe(BEFORE, AFTER, |it| it.inflict(Fault::LinkDown, owner))?;
        cut.expect_one_change(nodes.mac(owner), GAP_MAX)?;
        nodes.repair(Fault::LinkDown, owner)?;
        let healed = nodes.probe(BEFORE, AFTER, |_| Ok(()))?;
        ensure!(
            healed.macs().iter().all(|mac| *mac != nodes.mac(owner)),
            "the node that was cut off has answered beside its successor"
        );
        Ok(())
    })
}

#[test]
fn terminated_owner_hands_over_without_a_gap() -> anyhow::Result<()> {
    on_nodes("terminated_owner_hands_over_without_a_gap", 3, |nodes| {
        let owner = nodes.owner()?;
        let seen = nodes.probe(BEFORE, AFTER, |it| it.inflict(Fault::Terminate, owner))?;
        seen.expect_gap_below(PLANNED_GAP_MAX)?;
        let last = *seen.macs().last().context("nobody answers")?;
        ensure!(
            last != nodes.mac(owner),
            "the node that ended still answers"
        );
        Ok(())
    })
}

#[test]
fn nodes_with_another_key_do_not_announce() -> anyhow::Result<()> {
    let test = "nodes_with_another_key_do_not_announce";
    on_nodes(test, 3, |nodes| {
        for (number, folder) in nodes.folders.iter().enumerate() {
            folder.write("key.yaml", &secret(&format!("a key of its own {number}")))?;
        }
        let deadline = Instant::now() + PATIENCE;
        while nodes.who_has(Duration::from_millis(50)).is_ok() {
            ensure!(Instant::now() < deadline, "still answered");
        }
        nodes.wait_said(0, "/snapshot", "the same key")
    })
}
