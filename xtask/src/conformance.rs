//! `cargo xtask conformance`: the Gateway API's own conformance suite, run from the client of the cluster that is up.
//!
//! It judges whoever answers for a GatewayClass there; which features count is what the class's status says.

use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;

use crate::cluster::{self, Cluster};
use crate::run;
use crate::workspace::Workspace;

/// How long a whole run may take, in Go's words.
const LENGTH_MAX: &str = "60m";

/// What is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The GatewayClass to judge
    #[arg(long, default_value = "sanmon")]
    gateway_class: String,
    /// Run this profile; all features of the class if not given
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Run only this test, whatever features it needs
    #[arg(long, value_name = "TEST")]
    run_test: Option<String>,
}

/// Builds the suite if it has to, and runs it.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let suite = cluster::suite(workspace)?;
    let cluster = Cluster::of(workspace);
    if !cluster.is_up()? {
        bail!("the suite needs a cluster: `cargo xtask cluster up`");
    }
    let class = &options.gateway_class;
    run::quietly(Command::new(cluster.kubectl()).args(["get", "gatewayclass", class])).with_context(
        || format!("the cluster has no GatewayClass {class}: install the Gateway API and Sanmon in it first"),
    )?;
    let mut command = Command::new(cluster.client());
    command
        .arg(suite)
        .args(["-test.run=TestConformance", "-test.v"])
        .arg(format!("-test.timeout={LENGTH_MAX}"))
        .arg(format!("--gateway-class={class}"));
    if let Some(profile) = &options.profile {
        command.arg(format!("--conformance-profiles={profile}"));
    }
    if let Some(test) = &options.run_test {
        command.arg(format!("--run-test={test}"));
    }
    run::visibly(&mut command)
}
