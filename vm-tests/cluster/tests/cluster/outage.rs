//! The API server is away for longer than the Lease lasts: it hangs, then it is killed, then it is started again.

use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};

use crate::bed::Bed;
use crate::load::{Kind, Load};

/// How long it hangs, and how long it is gone: together longer than the leader's Lease.
const HANGS: Duration = Duration::from_secs(6);
const GONE: Duration = Duration::from_secs(14);
/// When the agent of the owner dies, after the API server.
const DEATH: Duration = Duration::from_secs(3);
/// Within this time another node has taken over, on a machine that starts programs at the same time.
const FAIL_OVER: Duration = Duration::from_secs(4);
/// Within this time after it everything has been looked at again.
const REST: Duration = Duration::from_secs(8);
/// Events that may be told after it: of an address that has moved, of a node that was not heard.
const EVENTS_MAX: usize = 30;

#[test]
fn without_the_api_server_traffic_and_fail_over_go_on_and_little_is_written_when_it_is_back()
-> anyhow::Result<()> {
    let test = "without_the_api_server_traffic_and_fail_over_go_on";
    let Some(cluster) = Bed::start(test, 3)? else {
        return Ok(());
    };
    cluster.install_sanmon()?;
    let address = cluster.serve()?;
    let statuses = |cluster: &Bed| {
        cluster.kubectl(&[
            "get",
            "--all-namespaces",
            "gatewayclasses,gateways,httproutes,services",
            "--output=jsonpath={.items[*].metadata.resourceVersion}",
        ])
    };
    let before = statuses(&cluster)?;
    let written = cluster.writes()?.len();

    let load = Load::start(
        &cluster.client(),
        vec![(Kind::Reused, address), (Kind::Fresh, address)],
    )?;
    let api_server = cluster.program("kube-apiserver")?;
    kill(api_server, Signal::SIGSTOP)?;
    std::thread::sleep(HANGS);
    kill(api_server, Signal::SIGKILL)?;
    std::thread::sleep(DEATH);
    let owner = cluster.owner(address.ip())?;
    let death = load.elapsed();
    kill(owner, Signal::SIGKILL)?;
    std::thread::sleep(GONE - DEATH);
    ensure!(cluster.owner(address.ip())? != owner, "a dead one answers");
    cluster.revive()?;
    std::thread::sleep(REST);
    let seen = load.end()?;

    for seen in &seen {
        let mut others = seen.failed();
        others.retain(|at, _| !(death..death + FAIL_OVER).contains(at));
        ensure!(
            others.is_empty(),
            "{others:#?}, and the death was at {death:?}"
        );
        ensure!(seen.answered > 500, "{} answers", seen.answered);
        let longest = seen.longest;
        ensure!(longest < FAIL_OVER, "{longest:?} without answer");
    }
    // The agent that has died is back, and serves by what the API server says.
    cluster.owner(address.ip()).context("after it")?;
    let writes = cluster.writes()?.split_off(written);
    let (events, others): (Vec<_>, Vec<_>) = writes
        .into_iter()
        .partition(|it| it.starts_with("create events"));
    let told = cluster.kubectl(&["events", "--all-namespaces"])?;
    ensure!(events.len() <= EVENTS_MAX, "{told}");
    ensure!(others.is_empty(), "{others:#?}");
    ensure!(statuses(&cluster)? == before, "a status is another one");
    Ok(())
}
