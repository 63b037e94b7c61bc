//! A Gateway that leaves, by another class or with its namespace: it is gone at once and whole, and nobody else notices.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::bed::{Bed, PATIENCE};
use crate::load::{Kind, Load, Outcome, ask_once};

/// Two more classes: one is ours too, the other is somebody else's.
const CLASSES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: second}
spec:
  controllerName: sanmon.dev/gateway-controller
  parametersRef: {group: sanmon.dev, kind: SanmonConfig, name: default}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: foreign}
spec: {controllerName: example.com/other}
";
/// A second Gateway for the same application, in a namespace of its own.
const LEAVER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: leaver}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: leaver, namespace: leaver}
spec:
  gatewayClassName: sanmon
  listeners:
  - {name: http, protocol: HTTP, port: 80}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: echo, namespace: leaver}
spec:
  parentRefs: [{name: leaver}]
  rules:
  - backendRefs: [{name: echo, namespace: first, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: leaver, namespace: first}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: leaver}]
  to: [{group: '', kind: Service}]
";
/// The Gateway that leaves.
const GATEWAY: [&str; 2] = ["--namespace=leaver", "gateway/leaver"];
/// For how long it is asked whether an address that was given up stays silent.
const SILENCE: Duration = Duration::from_secs(1);

#[test]
fn a_gateway_that_leaves_takes_its_own_traffic_and_no_other() -> anyhow::Result<()> {
    let test = "a_gateway_that_leaves_takes_its_own_traffic_and_no_other";
    let Some(cluster) = Bed::start(test, 1)? else {
        return Ok(());
    };
    cluster.install_sanmon()?;
    cluster.apply(CLASSES)?;
    let stays = cluster.serve()?;
    cluster.apply(LEAVER)?;
    let load = Load::start(&cluster.client(), vec![(Kind::Fresh, stays)])?;
    let leaver = address(&cluster)?;
    become_served(&cluster, leaver)?;

    // Another class of ours changes nothing for clients.
    let moving = Load::start(&cluster.client(), vec![(Kind::Reused, leaver)])?;
    reclass(&cluster, "second")?;
    ensure!(address(&cluster)? == leaver, "it has another address now");
    std::thread::sleep(SILENCE);
    let moved = moving.end()?;
    let moved = moved.first().context("one kind of requests")?;
    ensure!(moved.failed().is_empty(), "{:#?}", moved.failed());

    // A foreign one takes it away: nobody answers, and in between nobody says that there is no such route.
    reclass(&cluster, "foreign")?;
    become_silent(&cluster, leaver)?;
    reclass(&cluster, "sanmon")?;
    let leaver = address(&cluster)?;
    become_served(&cluster, leaver)?;

    cluster.kubectl(&["delete", "namespace", "leaver"])?;
    become_silent(&cluster, leaver)?;
    let seen = load.end()?;
    let seen = seen.first().context("one kind of requests")?;
    ensure!(seen.failed().is_empty(), "{:#?}", seen.failed());
    ensure!(seen.answered > 50, "{} answers", seen.answered);
    Ok(())
}

fn reclass(cluster: &Bed, class: &str) -> anyhow::Result<()> {
    let patch = format!("--patch={{\"spec\":{{\"gatewayClassName\":\"{class}\"}}}}");
    let arguments = [&["patch", "--type=merge", &patch], GATEWAY.as_slice()];
    cluster.kubectl(&arguments.concat()).map(drop)
}

/// The Gateway's address, as soon as what its object says is in force.
fn address(cluster: &Bed) -> anyhow::Result<SocketAddr> {
    let generation = cluster.wait_for_field(&GATEWAY, "{.metadata.generation}")?;
    let path = "{.status.conditions[?(@.type==\"Programmed\")].observedGeneration}";
    let deadline = Instant::now() + PATIENCE;
    while cluster.wait_for_field(&GATEWAY, path)? != generation {
        ensure!(Instant::now() < deadline, "its status is of an older form");
    }
    let address = cluster.wait_for_field(&GATEWAY, "{.status.addresses[0].value}")?;
    Ok(SocketAddr::new(address.parse()?, 80))
}

/// Asks until a pod answers.
fn become_served(cluster: &Bed, address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask_once(&cluster.client(), address)? {
            Outcome::Status(200) => return Ok(()),
            outcome @ (Outcome::Status(_) | Outcome::NoAnswer) => {
                ensure!(Instant::now() < deadline, "{address}: {outcome:?}");
            }
        }
    }
}

/// Asks until nobody answers; whatever is answered until then is a pod's.
fn become_silent(cluster: &Bed, address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut silent_since = None;
    while silent_since.is_none_or(|since: Instant| since.elapsed() < SILENCE) {
        match ask_once(&cluster.client(), address)? {
            Outcome::NoAnswer => drop(silent_since.get_or_insert_with(Instant::now)),
            Outcome::Status(200) if silent_since.is_none() => {
                ensure!(Instant::now() < deadline, "{address} is still served");
            }
            outcome @ Outcome::Status(_) => anyhow::bail!("{address}: {outcome:?}"),
        }
    }
    Ok(())
}
