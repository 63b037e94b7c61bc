//! Another machine takes a VIP, and the policy is to give way: the Gateway gets another address on all nodes, unless it names
//! its own.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, ensure};
use gateway_vm_tests::bed::{PATIENCE, SILENCE, VIP};
use gateway_vm_tests::frame::Arp;
use gateway_vm_tests::netlink::Mac;
use gateway_vm_tests::nodes::{Fault, Nodes, config};
use gateway_vm_tests::{Capture, Host};

/// Questions about each address: if two machines answered, more than one answer would come.
const QUESTIONS: usize = 20;

#[test]
fn all_nodes_move_together_to_an_address_that_nobody_else_has() -> anyhow::Result<()> {
    let test = "all_nodes_move_together_to_an_address_that_nobody_else_has";
    if gateway_vm_tests::skips(test) {
        return Ok(());
    }
    let mut nodes = nodes("")?;
    let moved = move_together(&mut nodes);
    nodes.explain(test, moved)
}

fn move_together(nodes: &mut Nodes) -> anyhow::Result<()> {
    let old = vip(nodes, 0)?;
    let printer = nodes.lan.host("printer", format!("{old}/24").parse()?)?;
    claim(&printer, old)?;
    let aside = format!(
        "{old} is set aside: another machine has it, with the MAC {}",
        text(printer.mac)
    );
    for number in 0..3 {
        nodes.wait_said(number, "/conditions", &aside)?;
        nodes.wait_ready(number)?;
    }
    let new = vip(nodes, 0)?;
    ensure!(
        new != old && vip(nodes, 1)? == new && vip(nodes, 2)? == new,
        "the nodes have different addresses"
    );
    let owner = one_answers(nodes, new)?;
    let is_node = nodes.hosts.iter().any(|host| host.mac == owner);
    ensure!(is_node, "a stranger answers");
    ensure!(
        one_answers(nodes, old)? == printer.mac,
        "a node still answers for the address that was given up"
    );
    // Who comes later learns it from the others, and it stays so when the other machine is gone.
    printer.unplug()?;
    nodes.inflict(Fault::Kill, 2)?;
    nodes.repair(Fault::Kill, 2)?;
    nodes.wait_said(2, "/conditions", &aside)?;
    ensure!(vip(nodes, 2)? == new, "it has come back by itself");
    ensure!(
        nodes.client.who_has(&nodes.wire, old, SILENCE).is_err(),
        "the node that started last answers for the former address"
    );
    one_answers(nodes, new).map(drop)
}

#[test]
fn address_that_the_gateway_names_stays_and_the_condition_says_why() -> anyhow::Result<()> {
    let test = "address_that_the_gateway_names_stays_and_the_condition_says_why";
    if gateway_vm_tests::skips(test) {
        return Ok(());
    }
    let mut nodes = nodes(&format!(
        "  addresses: [{{type: IPAddress, value: {VIP}}}]\n"
    ))?;
    let stayed = stay(&mut nodes);
    nodes.explain(test, stayed)
}

fn stay(nodes: &mut Nodes) -> anyhow::Result<()> {
    let owner = nodes.mac(nodes.owner()?);
    let printer = nodes.lan.host("printer", format!("{VIP}/24").parse()?)?;
    for _ in 0..2 {
        claim(&printer, VIP)?;
        let why = format!(
            "{VIP} is claimed by another machine, with the MAC {}; it is defended; the Gateway names it in spec.addresses and gets no other",
            text(printer.mac)
        );
        for number in 0..3 {
            nodes.wait_said(number, "/conditions", &why)?;
        }
    }
    printer.unplug()?;
    for number in 0..3 {
        ensure!(vip(nodes, number)? == VIP, "node {number} has moved it");
    }
    ensure!(one_answers(nodes, VIP)? == owner, "it has changed hands");
    Ok(())
}

/// Three nodes whose Gateway gives way, or has these lines in its spec.
fn nodes(gateway: &str) -> anyhow::Result<Nodes> {
    let config = config("  announcement: {conflictPolicy: reallocate}\n");
    let named = format!("  addresses: [{{type: IPAddress, value: {VIP}}}]\n");
    ensure!(config.contains(&named), "the configuration is different");
    let config = config.replace(&named, gateway);
    let mut nodes = Nodes::without_processes(3)?;
    for folder in &nodes.folders {
        folder.write("config.yaml", &config)?;
    }
    for number in 0..3 {
        nodes.start(number)?;
    }
    for number in 0..3 {
        nodes.wait_ready(number)?;
    }
    Ok(nodes)
}

/// The address of the Gateway, as a node has it.
fn vip(nodes: &Nodes, number: usize) -> anyhow::Result<Ipv4Addr> {
    let host = nodes.hosts.get(number).context("no such node")?;
    let process = nodes.processes.get(number).context("no such node")?;
    process.first_vip(&host.namespace)
}

/// A machine says that it has an address, as it does when it comes up.
fn claim(host: &Host, address: Ipv4Addr) -> anyhow::Result<()> {
    let claim = Arp::who_has(address, (host.mac, address)).broadcast();
    Capture::start(&host.namespace, "eth0")?.send(&claim)
}

/// The only one that answers for an address.
fn one_answers(nodes: &Nodes, address: Ipv4Addr) -> anyhow::Result<Mac> {
    let since = nodes.wire.now();
    for _ in 0..QUESTIONS {
        nodes.client.who_has(&nodes.wire, address, PATIENCE)?;
    }
    // Whoever is slower than the first answers within that time, too.
    let last = nodes.wire.now() + Duration::from_millis(50);
    let question = Arp::who_has(address, (nodes.client.mac, nodes.client.address)).broadcast();
    while nodes.wire.now() < last {
        nodes.wire.send(&question)?;
        nodes.client.who_has(&nodes.wire, address, PATIENCE)?;
    }
    let frames = nodes.wire.frames().into_iter();
    let frames = frames.filter(|frame| frame.at >= since);
    let answers = frames.filter_map(|frame| Arp::parse(&frame.bytes)?.answers(address));
    let mut macs: Vec<Mac> = answers.collect();
    macs.sort_unstable();
    macs.dedup();
    let [mac] = macs.as_slice() else {
        anyhow::bail!("{macs:02x?} answer for {address}");
    };
    Ok(*mac)
}

fn text(mac: Mac) -> String {
    mac.map(|it| format!("{it:02x}")).join(":")
}
