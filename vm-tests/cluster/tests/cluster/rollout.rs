//! Sanmon's own DaemonSet is updated, node after node, and clients do not notice.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::bed::{Bed, POOL};
use crate::load::{Kind, Load, Seen};

/// How long is asked before the update and after it.
const CALM: Duration = Duration::from_secs(1);
/// How long a client may wait for an answer: a busy machine holds up all that is in this test.
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
fn rolling_update_of_sanmon_loses_no_request_and_no_connection() -> anyhow::Result<()> {
    loses_nothing(
        "rolling_update_of_sanmon_loses_no_request_and_no_connection",
        3,
    )
}

#[test]
fn update_of_a_single_node_loses_no_request_and_no_connection() -> anyhow::Result<()> {
    loses_nothing(
        "update_of_a_single_node_loses_no_request_and_no_connection",
        1,
    )
}

fn loses_nothing(test: &str, nodes: u8) -> anyhow::Result<()> {
    let Some(update) = update(test, nodes)? else {
        return Ok(());
    };
    let proxied = PROXIED.iter().zip(&update.proxied);
    for (kind, seen) in proxied.chain(STEERED.iter().zip(&update.steered)) {
        ensure!(seen.failed().is_empty(), "{kind:?}: {:#?}", seen.failed());
        ensure!(seen.answered > 100, "{kind:?}: {} answers", seen.answered);
        let longest = seen.longest;
        ensure!(longest < WAIT_MAX, "{kind:?}: {longest:?} without answer");
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
