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

/// What is asked through the proxy, and past it.
const PROXIED: [Kind; 5] = [
    Kind::Reused,
    Kind::Fresh,
    Kind::Hasty,
    Kind::Http2,
    Kind::Calls,
];
const STEERED: [Kind; 2] = [Kind::Reused, Kind::Fresh];

#[test]
fn rolling_update_of_sanmon_loses_no_request() -> anyhow::Result<()> {
    let test = "rolling_update_of_sanmon_loses_no_request";
    let Some(update) = update(test, 3)? else {
        return Ok(());
    };
    for (kind, seen) in PROXIED.iter().zip(&update.proxied) {
        ensure!(seen.failed().is_empty(), "{kind:?}: {:#?}", seen.failed());
    }
    for (kind, seen) in STEERED.iter().zip(&update.steered) {
        // Open connections may be reset when their address moves: its next owner has other endpoints.
        ensure!(
            seen.unconnected.is_empty(),
            "{kind:?} past the proxy: {:#?}",
            seen.unconnected
        );
    }
    for seen in update.proxied.iter().chain(&update.steered) {
        ensure!(seen.answered > 100, "{} answers", seen.answered);
        ensure!(seen.longest < WAIT_MAX, "{:?} without answer", seen.longest);
    }
    Ok(())
}

#[test]
fn update_of_a_single_node_keeps_tcp_connections_and_takes_new_ones() -> anyhow::Result<()> {
    let test = "update_of_a_single_node_keeps_tcp_connections_and_takes_new_ones";
    // A measurement more than a test, for full runs.
    if std::env::var_os("SANMON_FAULT_ROUNDS").is_none() {
        return Ok(());
    }
    let Some(update) = update(test, 1)? else {
        return Ok(());
    };
    for (kind, seen) in STEERED.iter().zip(&update.steered) {
        ensure!(seen.failed().is_empty(), "{kind:?}: {:#?}", seen.failed());
    }
    for (kind, seen) in PROXIED.iter().zip(&update.proxied) {
        // Nobody is there for a while, but what was under way has been answered before.
        ensure!(seen.lost.is_empty(), "{kind:?}: {:#?}", seen.lost);
        ensure!(seen.answered > 100, "{} answers", seen.answered);
    }
    Ok(())
}

/// What clients have seen of an update.
struct Update {
    /// By kind, as in [`PROXIED`].
    proxied: Vec<Seen>,
    /// By kind, as in [`STEERED`].
    steered: Vec<Seen>,
}

/// Replaces all agents under load; none if something is missing, which is said.
fn update(test: &str, nodes: u8) -> anyhow::Result<Option<Update>> {
    let Some(cluster) = Bed::start(test, nodes)? else {
        return Ok(None);
    };
    cluster.install_sanmon()?;
    let address = serve(&cluster)?;
    let at = |port| SocketAddr::new(address, port);
    let proxied = PROXIED.into_iter().map(|kind| (kind, at(80)));
    let steered = STEERED.into_iter().map(|kind| (kind, at(9000)));

    let load = Load::start(&cluster.client(), proxied.chain(steered).collect())?;
    std::thread::sleep(CALM);
    let before = agents(&cluster)?;
    let started = Instant::now();
    for action in ["restart", "status"] {
        let agents = ["--namespace=sanmon-system", "daemonset/sanmon"];
        cluster.kubectl(&[&["rollout", action], agents.as_slice()].concat())?;
    }
    let took = started.elapsed();
    std::thread::sleep(CALM);
    let mut proxied = load.end()?;

    let after = agents(&cluster)?;
    ensure!(
        after.len() == usize::from(nodes) && !after.iter().any(|it| before.contains(it)),
        "{before:?} were not all replaced: {after:?}"
    );
    let steered = proxied.split_off(PROXIED.len());
    say(&format!("{nodes} nodes updated in {took:?}"));
    PROXIED
        .iter()
        .zip(&proxied)
        .for_each(|it| tell("proxied", it));
    STEERED
        .iter()
        .zip(&steered)
        .for_each(|it| tell("steered", it));
    Ok(Some(Update { proxied, steered }))
}

fn tell(way: &str, (kind, seen): (&Kind, &Seen)) {
    let Seen {
        answered, longest, ..
    } = seen;
    let (unconnected, lost) = (seen.unconnected.len(), seen.lost.len());
    say(&format!(
        "{way}, {kind:?}: {answered} answered, {lost} lost, {unconnected} not connected, {longest:?} at most"
    ));
}

fn say(line: &str) {
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
