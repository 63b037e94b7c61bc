//! Gate 2: TCP and UDP reach pods that see the client itself, and closed ports are closed.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, ensure};
use gateway_vm_tests::bed::SOON;
use gateway_vm_tests::client::Conversation;
use gateway_vm_tests::dns;
use tokio::net::{TcpListener, TcpStream};

use crate::scene::Scene;
use crate::stage::Stage;

/// Plays the act.
pub(crate) fn play(stage: &mut Stage, scene: &Scene) {
    stage.show("TCP reaches a pod that sees the client", || tcp(scene));
    stage.show("DNS over UDP, too", || udp(scene));
    stage.show("a port without listener is closed", || closed(scene));
}

fn tcp(scene: &Scene) -> anyhow::Result<String> {
    let to = SocketAddr::from((scene.vip, 7000));
    scene.client.namespace.run(move || async move {
        let mut talk = Conversation::open(to).await?;
        talk.say("hello").await?;
        ensure!(
            talk.seen == talk.local,
            "the pod saw {}, not {}",
            talk.seen,
            talk.local
        );
        Ok(format!(
            "the pod saw {}, the client's socket; {to} → {}",
            talk.seen, talk.pod
        ))
    })
}

fn udp(scene: &Scene) -> anyhow::Result<String> {
    let to = SocketAddr::from((scene.vip, 53));
    let client = IpAddr::V4(scene.client.address);
    scene.client.namespace.run(move || async move {
        let answer = dns::query(to, "sanmon.example").await?;
        let (pod, seen) = answer
            .text
            .split_once(' ')
            .context("not the pod's answer")?;
        let expected = SocketAddr::new(client, answer.local.port());
        ensure!(
            seen.parse() == Ok(expected),
            "the pod saw {seen}, not {expected}"
        );
        Ok(format!(
            "the pod saw {seen}, the client's socket; {to} → {pod}: A {}, TXT \"{}\"",
            answer.address, answer.text
        ))
    })
}

fn closed(scene: &Scene) -> anyhow::Result<String> {
    let host = scene
        .node
        .namespace
        .run(|| async { Ok(TcpListener::bind("0.0.0.0:22").await?) })?;
    let vip = SocketAddr::from((scene.vip, 22));
    let node = SocketAddr::from((scene.node.address, 22));
    let evidence = scene.client.namespace.run(move || async move {
        let own = tokio::time::timeout(SOON, TcpStream::connect(node)).await?;
        own.context("the host's own port does not answer")?;
        let refused = tokio::time::timeout(SOON, TcpStream::connect(vip)).await?;
        let kind = refused.map(|_open| ()).map_err(|error| error.kind());
        ensure!(
            kind == Err(std::io::ErrorKind::ConnectionRefused),
            "{vip}: {kind:?}"
        );
        Ok(format!(
            "{vip} is refused; a server on 0.0.0.0:22 of the node does answer at {node}"
        ))
    });
    drop(host);
    evidence
}
