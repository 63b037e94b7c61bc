//! Sanmon's own DaemonSet is updated, node after node, and clients do not notice.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::bed::{Bed, POOL};
use crate::load::{Kind, Load, Seen};

/// How long is asked before the update and after it.
const CALM: Duration = Duration::from_secs(1);
/// How long a client may wait for an answer. A connection that is not let in is tried again after a second.
const WAIT_MAX: Duration = Duration::from_secs(4);
/// An application on every node, behind one address: as a Gateway has it, and as a TCPRoute.
const OBJECTS: &str = include_str!("rollout.yaml");

#[test]
fn rolling_update_of_sanmon_loses_no_request() -> anyhow::Result<()> {
    let test = "rolling_update_of_sanmon_loses_no_request";
    let Some(cluster) = Bed::start(test, 3)? else {
        return Ok(());
    };
    cluster.install_sanmon()?;
    let address = serve(&cluster)?;
    let (proxied, steered) = (SocketAddr::new(address, 80), SocketAddr::new(address, 9000));
    let kinds = [Kind::Reused, Kind::Fresh, Kind::Http2, Kind::Calls];
    let mut all: Vec<_> = kinds.into_iter().map(|kind| (kind, proxied)).collect();
    all.extend([(Kind::Reused, steered), (Kind::Fresh, steered)]);

    let load = Load::start(&cluster.client(), all)?;
    std::thread::sleep(CALM);
    let before = agents(&cluster)?;
    let started = Instant::now();
    let daemon_set = "daemonset/sanmon";
    cluster.kubectl(&[
        "rollout",
        "restart",
        "--namespace=sanmon-system",
        daemon_set,
    ])?;
    cluster.kubectl(&["rollout", "status", "--namespace=sanmon-system", daemon_set])?;
    let took = started.elapsed();
    std::thread::sleep(CALM);
    let seen = load.end()?;

    let after = agents(&cluster)?;
    ensure!(
        after.len() == 3 && !after.iter().any(|it| before.contains(it)),
        "{before:?} were not all replaced: {after:?}"
    );
    let (proxied, steered) = seen.split_at(kinds.len());
    for (kind, seen) in kinds.iter().zip(proxied) {
        tell(&format!("{kind:?}"), seen);
        ensure!(seen.failed().is_empty(), "{kind:?}: {:#?}", seen.failed());
    }
    for (kind, seen) in ["kept, TCP", "new, TCP"].iter().zip(steered) {
        tell(kind, seen);
        // Open connections may be reset when their address moves: its next owner has other endpoints.
        ensure!(
            seen.unconnected.is_empty(),
            "{kind}: {:#?}",
            seen.unconnected
        );
    }
    for seen in &seen {
        ensure!(seen.answered > 100, "{} answers in {took:?}", seen.answered);
        ensure!(seen.longest < WAIT_MAX, "{:?} without answer", seen.longest);
    }
    Ok(())
}

fn tell(kind: &str, seen: &Seen) {
    let Seen {
        answered, longest, ..
    } = seen;
    let (unconnected, lost) = (seen.unconnected.len(), seen.lost.len());
    let line = format!(
        "{kind}: {answered} answered, {lost} lost, {unconnected} not connected, {longest:?} at most"
    );
    // A closed standard error leaves nobody to tell.
    let _unheard = writeln!(std::io::stderr(), "{line}");
}

/// Puts the application behind a Gateway, and gives its address.
fn serve(cluster: &Bed) -> anyhow::Result<IpAddr> {
    cluster.apply(OBJECTS)?;
    let namespace = "--namespace=rollout";
    for application in ["daemonset/echo", "daemonset/calls"] {
        cluster.kubectl(&["rollout", "status", namespace, application])?;
    }
    let gateway = [namespace, "gateway/web"];
    cluster.kubectl(&[
        "wait",
        namespace,
        "gateway/web",
        "--for=condition=Programmed",
    ])?;
    let address = cluster.wait_for_field(&gateway, "{.status.addresses[0].value}")?;
    let address = address.parse()?;
    ensure!(POOL.contains(&address), "{address} is not of the pool");
    Ok(address)
}

/// The names of the agents' pods.
fn agents(cluster: &Bed) -> anyhow::Result<Vec<String>> {
    let said = cluster.kubectl(&[
        "get",
        "pods",
        "--namespace=sanmon-system",
        "--output=jsonpath={.items[*].metadata.name}",
    ])?;
    Ok(said.split_whitespace().map(str::to_owned).collect())
}
