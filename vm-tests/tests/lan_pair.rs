//! Two nodes and a router: the one that is left goes on, and the two never answer beside each other.

use std::time::Duration;

use anyhow::ensure;
use gateway_vm_tests::nodes::{Fault, Nodes, on_nodes};

/// The promise is a second; a busy machine that freezes all parts of the test at once is not what is tested.
const GAP_MAX: Duration = Duration::from_millis(2500);
/// Where nothing is to happen.
const STEADY_GAP_MAX: Duration = Duration::from_millis(1000);
const BEFORE: Duration = Duration::from_millis(150);
const AFTER: Duration = Duration::from_millis(2850);

#[test]
fn survivor_of_two_takes_over_and_keeps_the_address_when_the_other_returns() -> anyhow::Result<()> {
    let test = "survivor_of_two_takes_over_and_keeps_the_address_when_the_other_returns";
    on_nodes(test, 2, |nodes| {
        let owner = nodes.owner()?;
        let seen = nodes.probe(BEFORE, AFTER, |it| it.inflict(Fault::Kill, owner))?;
        seen.expect_one_change(nodes.mac(owner), GAP_MAX)?;
        nodes.wait_said(1 - owner, "/snapshot", "the witnesses answer this one")?;
        nodes.repair(Fault::Kill, owner)?;
        let seen = nodes.probe(BEFORE, AFTER, |_| Ok(()))?;
        seen.expect_only(nodes.mac(1 - owner), STEADY_GAP_MAX)
    })
}

#[test]
fn one_of_two_that_is_cut_off_is_replaced_and_does_not_answer_beside_the_other()
-> anyhow::Result<()> {
    let test = "one_of_two_that_is_cut_off_is_replaced_and_does_not_answer_beside_the_other";
    on_nodes(test, 2, |nodes| {
        for fault in [Fault::LinkDown, Fault::Mute, Fault::Deaf] {
            let owner = nodes.owner()?;
            let cut = nodes.probe(BEFORE, AFTER, |it| it.inflict(fault, owner))?;
            cut.expect_one_change(nodes.mac(owner), GAP_MAX)?;
            nodes.repair(fault, owner)?;
            nodes.wait_ready(1 - owner)?;
            no_rivals(nodes)?;
        }
        Ok(())
    })
}

#[test]
fn owner_stays_when_the_switch_keeps_two_nodes_apart() -> anyhow::Result<()> {
    on_nodes(
        "owner_stays_when_the_switch_keeps_two_nodes_apart",
        2,
        |nodes| {
            let owner = nodes.owner()?;
            let seen = nodes.probe(BEFORE, AFTER, |it| it.inflict(Fault::Isolate, owner))?;
            seen.expect_only(nodes.mac(owner), STEADY_GAP_MAX)?;
            nodes.wait_said(1 - owner, "/snapshot", "still answers")?;
            // The owner dies while they are apart: the router does not hear it any more.
            let seen = nodes.probe(BEFORE, AFTER, |it| it.inflict(Fault::Kill, owner))?;
            seen.expect_one_change(nodes.mac(owner), GAP_MAX)
        },
    )
}

/// Neither node has found the other one to answer as well.
fn no_rivals(nodes: &Nodes) -> anyhow::Result<()> {
    for process in &nodes.processes {
        let log = process.log();
        ensure!(
            !log.contains("has answered for the address as well"),
            "{log}"
        );
    }
    Ok(())
}
