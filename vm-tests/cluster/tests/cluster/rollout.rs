//! The agents are replaced while clients ask.

use std::io::Write;

use crate::bed::{AGENTS, Bed};
use crate::load::Load;

#[test]
fn replacing_the_agents_of_three_nodes_interrupts_nobody_for_long() -> anyhow::Result<()> {
    let test = "replacing_the_agents_of_three_nodes_interrupts_nobody_for_long";
    let Some(cluster) = Bed::start(test, 3)? else {
        return Ok(());
    };
    cluster.install_sanmon()?;
    let address = cluster.serve()?;

    let load = Load::start(&cluster.client(), address)?;
    cluster.kubectl(&[&["rollout", "restart"], AGENTS.as_slice()].concat())?;
    cluster.kubectl(&[&["rollout", "status"], AGENTS.as_slice()].concat())?;
    let seen = load.end()?;

    writeln!(
        std::io::stderr(),
        "rollout: {} answered, longest rest {:?}, failed: {:#?}",
        seen.answered,
        seen.longest,
        seen.failed
    )?;
    Ok(())
}
