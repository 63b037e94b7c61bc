//! The API server is away for longer than the Lease lasts.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::bed::Bed;
use crate::load::Load;

/// Longer than the leader's Lease.
const OUTAGE: Duration = Duration::from_secs(30);
/// Within this time after it everything has been looked at again.
const REST: Duration = Duration::from_secs(10);

#[test]
fn traffic_goes_on_without_the_api_server_and_nothing_is_written_when_it_is_back()
-> anyhow::Result<()> {
    let test = "traffic_goes_on_without_the_api_server_and_nothing_is_written_when_it_is_back";
    let Some(cluster) = Bed::start(test, 1)? else {
        return Ok(());
    };
    cluster.install_sanmon()?;
    let address = cluster.serve()?;
    let written = |cluster: &Bed| {
        cluster.kubectl(&[
            "get",
            "--all-namespaces",
            "gatewayclasses,gateways,httproutes,services",
            "--output=jsonpath={.items[*].metadata.resourceVersion}",
        ])
    };
    let before = written(&cluster)?;

    let load = Load::start(&cluster.client(), address)?;
    let api_server = cluster.program("kube-apiserver")?;
    kill(api_server, Signal::SIGSTOP)?;
    std::thread::sleep(OUTAGE);
    kill(api_server, Signal::SIGCONT)?;
    std::thread::sleep(REST);
    let seen = load.end()?;

    assert!(seen.failed.is_empty(), "{:#?}", seen.failed);
    assert!(seen.answered > 1_000, "{} answers", seen.answered);
    assert!(
        seen.longest < OUTAGE / 3,
        "{:?} without answer",
        seen.longest
    );
    assert_eq!(written(&cluster)?, before);
    Ok(())
}
