//! Gate 1: the client's ARP is answered by the node, in XDP, and for nothing that is not owned.

use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::ensure;
use gateway_vm_tests::bed::{SILENCE, SOON};
use gateway_vm_tests::frame::{Arp, Operation};
use gateway_vm_tests::lan::NIC;
use gateway_vm_tests::netlink::{self, Mac, XdpProgram};

use crate::scene::Scene;
use crate::stage::{Stage, seconds};

/// Plays the act.
pub(crate) fn play(stage: &mut Stage, scene: &Scene) {
    stage.show("ARP for the VIP names the node", || answered(scene));
    stage.show("a free pool address stays silent", || silent(scene));
    stage.show("neighbours were told unasked", || told(scene));
}

fn answered(scene: &Scene) -> anyhow::Result<String> {
    let namespace = &scene.node.namespace;
    let program = namespace.run(|| netlink::xdp_program(NIC))?;
    ensure!(program == XdpProgram::Attached, "no XDP program on {NIC}");
    let own = namespace.run(netlink::addresses)?;
    ensure!(
        !own.contains(&scene.vip.into()),
        "an interface has {}",
        scene.vip
    );
    let answers = || scene.sanmon.packets(namespace, "arp_answered");
    let before = answers()?;
    let asked = Instant::now();
    let mac = scene.client.who_has(&scene.wire, scene.vip, SOON)?;
    let took = asked.elapsed();
    ensure!(mac == scene.node.mac, "{} answered", text(mac));
    let counted = answers()? - before;
    ensure!(counted > 0, "no answer was counted by gate 1");
    Ok(format!(
        "{} is at {}, after {}; counted by the native XDP program on {NIC} of node-1 (arp_answered +{counted}); no interface has the address",
        scene.vip,
        text(mac),
        seconds(took)
    ))
}

fn silent(scene: &Scene) -> anyhow::Result<String> {
    let last = Ipv4Addr::new(192, 168, 2, 250);
    let free = if scene.vip == last {
        Ipv4Addr::new(192, 168, 2, 249)
    } else {
        last
    };
    let guarded = || scene.sanmon.packets(&scene.node.namespace, "arp_guarded");
    let before = guarded()?;
    let answer = scene.client.who_has(&scene.wire, free, SILENCE);
    ensure!(answer.is_err(), "somebody answers for {free}");
    let counted = guarded()? - before;
    Ok(format!(
        "nobody says that it has {free}, for {}; the question was kept from the kernel (arp_guarded +{counted})",
        seconds(SILENCE)
    ))
}

fn told(scene: &Scene) -> anyhow::Result<String> {
    let frames = scene.wire.frames();
    let count = |operation| {
        let arps = frames.iter().filter_map(|frame| Arp::parse(&frame.bytes));
        arps.filter(|arp| arp.announces(scene.vip, operation) == Some(scene.node.mac))
            .count()
    };
    let (requests, replies) = (count(Operation::Request), count(Operation::Reply));
    ensure!(
        requests > 0 && replies > 0,
        "{requests} requests, {replies} replies"
    );
    Ok(format!(
        "{requests} gratuitous requests, {replies} replies so far; on the client's wire"
    ))
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
