//! Installs the Gateway API and Sanmon in the cluster, as its users do: CRDs, `deploy/`, a class with addresses.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::Cluster;
use crate::run;
use crate::workspace::Workspace;

/// The class and the addresses.
const CLASS: &str = "vm-tests/cluster/sanmon.yaml";
/// How long an agent may take to serve, on a machine that compiles at the same time.
const READY_MAX: &str = "--timeout=120s";

/// Which agents there are before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agents {
    /// None: the cluster is new.
    None,
    /// Those of an older build.
    Old,
}

/// Installs everything, or what has changed of it, and waits until every agent serves.
pub(super) fn all(
    cluster: &Cluster,
    workspace: &Workspace,
    gateway_api: &Path,
    agents: Agents,
) -> anyhow::Result<()> {
    let kubectl = |arguments: &[&str]| {
        run::quietly(Command::new(cluster.kubectl()).args(arguments)).map(drop)
    };
    let gateway_api = gateway_api.to_string_lossy();
    let deploy = workspace.root().join("deploy");
    let deploy = deploy.to_string_lossy();
    let class = workspace.root().join(CLASS);
    let class = class.to_string_lossy();
    // HTTPRoute's CRD is too large for the annotation of a client-side apply.
    let apply = ["apply", "--server-side"];
    kubectl(&[apply.as_slice(), &["--kustomize", &gateway_api]].concat())
        .context("the Gateway API's CRDs")?;
    kubectl(&[apply.as_slice(), &["--kustomize", &deploy]].concat()).context("deploy/")?;
    let established = [
        "wait",
        "crd",
        "--all",
        "--for=condition=Established",
        READY_MAX,
    ];
    kubectl(&established).context("CRDs")?;
    kubectl(&[apply.as_slice(), &["--filename", &class]].concat()).context(CLASS)?;
    let daemon_set = ["--namespace=sanmon-system", "daemonset/sanmon"];
    if agents == Agents::Old {
        kubectl(&[["rollout", "restart"], daemon_set].concat())?;
    }
    let status = ["rollout", "status", READY_MAX];
    kubectl(&[status.as_slice(), &daemon_set].concat())
        .context("the agents do not become ready")?;
    let accepted = ["wait", "gatewayclass/sanmon", "--for=condition=Accepted"];
    kubectl(&[accepted.as_slice(), &[READY_MAX]].concat()).context("the GatewayClass")
}
