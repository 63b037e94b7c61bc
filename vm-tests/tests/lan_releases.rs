//! Nodes of two releases beside each other, as there are while a cluster is updated.

use std::time::Duration;

use anyhow::{Context, ensure};
use gateway_vm_tests::bed::PATIENCE;
use gateway_vm_tests::nodes::{Fault, Nodes};
use gateway_vm_tests::{sanmon, skips};

const COUNT: u8 = 3;

/// The promise is a second; a busy machine that freezes all parts of the test at once is not what is tested.
const GAP_MAX: Duration = Duration::from_millis(2000);
/// The same for a move that was planned: 50 ms are promised.
const PLANNED_GAP_MAX: Duration = Duration::from_millis(250);
/// How long nothing happens at first, and how long is asked after it.
const BEFORE: Duration = Duration::from_millis(150);
const AFTER: Duration = Duration::from_millis(1350);

#[test]
fn nodes_of_two_releases_agree_during_an_update() -> anyhow::Result<()> {
    let test = "nodes_of_two_releases_agree_during_an_update";
    if skips(test) {
        return Ok(());
    }
    let mut nodes = Nodes::without_processes(COUNT)?;
    let result = update_all(&mut nodes);
    nodes.explain(test, result)
}

fn update_all(nodes: &mut Nodes) -> anyhow::Result<()> {
    for number in 0..usize::from(COUNT) {
        nodes.install(number, sanmon::former())?;
        nodes.start(number)?;
    }
    for number in 0..usize::from(COUNT) {
        nodes.wait_ready(number)?;
    }
    for number in 0..usize::from(COUNT) {
        update(nodes, number).with_context(|| format!("update of node {number}"))?;
        let (owner, seen) = nodes.fail_over(Fault::Kill, BEFORE)?;
        seen.expect_one_change(nodes.mac(owner), GAP_MAX)
            .with_context(|| format!("death of node {owner}"))?;
    }
    Ok(())
}

/// Ends a node as the DaemonSet does, and starts the new release there.
fn update(nodes: &mut Nodes, number: usize) -> anyhow::Result<()> {
    let owner = nodes.owner()?;
    let seen = nodes.probe(BEFORE, AFTER, |it| it.inflict(Fault::Terminate, number))?;
    if owner == number {
        seen.expect_gap_below(PLANNED_GAP_MAX)?;
    } else {
        seen.expect_only(nodes.mac(owner), PLANNED_GAP_MAX)?;
    }
    let process = nodes.processes.get_mut(number).context("no such node")?;
    ensure!(process.wait(PATIENCE)?.success(), "it did not end well");
    nodes.install(number, sanmon::binary())?;
    nodes.start(number)?;
    nodes.wait_ready(number)
}
