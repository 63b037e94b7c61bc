//! Another machine has the VIP: it is found before the first use, and while it is in use.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::ensure;
use gateway_vm_tests::Host;
use gateway_vm_tests::bed::{PATIENCE, SILENCE, VIP};
use gateway_vm_tests::frame::{Arp, Operation};
use gateway_vm_tests::nodes::{Nodes, config, on_nodes};

#[test]
fn address_of_another_machine_is_never_announced_and_its_mac_is_named() -> anyhow::Result<()> {
    let test = "address_of_another_machine_is_never_announced_and_its_mac_is_named";
    if gateway_vm_tests::skips(test) {
        return Ok(());
    }
    let mut nodes = Nodes::without_processes(1)?;
    let printer = nodes.lan.host("printer", format!("{VIP}/24").parse()?)?;
    let since = nodes.wire.now();
    nodes.start(0)?;
    nodes.wait_said(0, "/snapshot", &format!("with the MAC {}", text(&printer)))?;
    nodes.wait_said(
        0,
        "/conditions",
        &format!("with the MAC {}", text(&printer)),
    )?;
    let node = nodes.mac(0);
    let frames = nodes.wire.frames().into_iter().filter(|it| it.at >= since);
    let mut told = frames.filter_map(|it| Arp::parse(&it.bytes));
    ensure!(
        !told.any(|it| it.sender == (node, VIP)),
        "the node has told neighbours that it has the address"
    );
    ensure!(
        nodes.who_has(SILENCE)? == printer.mac,
        "the node has answered"
    );
    Ok(())
}

#[test]
fn first_use_is_probed_three_times_and_told_at_once_and_again() -> anyhow::Result<()> {
    let test = "first_use_is_probed_three_times_and_told_at_once_and_again";
    if gateway_vm_tests::skips(test) {
        return Ok(());
    }
    let mut nodes = Nodes::without_processes(1)?;
    let more = "  announcement: {refreshInterval: 1s}\n";
    nodes.folders[0].write("config.yaml", &config(more))?;
    nodes.start(0)?;
    let node = nodes.mac(0);
    // The burst ends after 4 s, and the first refresh comes a second later.
    let nth = |sender: Ipv4Addr, count: usize| {
        let passed = Cell::new(0);
        let what = "ARP of the node";
        nodes
            .wire
            .wait_for(what, Duration::ZERO, PATIENCE, |frame| {
                let arp = Arp::parse(&frame.bytes)?;
                if arp.sender == (node, sender) && arp.target.1 == VIP {
                    passed.set(passed.get() + 1);
                }
                (passed.get() == count).then_some(frame.at)
            })
    };
    let probes = [
        nth(Ipv4Addr::UNSPECIFIED, 1)?,
        nth(Ipv4Addr::UNSPECIFIED, 3)?,
    ];
    let told: Vec<Duration> = (1..=12).map(|it| nth(VIP, it)).collect::<Result<_, _>>()?;
    ensure!(
        probes[1] >= probes[0] + Duration::from_millis(190),
        "{probes:?}"
    );
    let start = told[0];
    ensure!(
        start >= probes[1] + Duration::from_millis(90),
        "{probes:?} {told:?}"
    );
    // A request and a reply each time.
    for (number, due_ms) in [0, 100, 1000, 2000, 4000, 5000].into_iter().enumerate() {
        let at = told[number * 2].saturating_sub(start);
        let due = Duration::from_millis(due_ms);
        let slack = Duration::from_millis(due_ms / 10 + 90);
        ensure!(
            at + slack >= due && at <= due + slack,
            "call {number} at {at:?}: {told:?}"
        );
    }
    Ok(())
}

#[test]
fn intruder_is_answered_by_the_policy_and_named() -> anyhow::Result<()> {
    on_nodes("intruder_is_answered_by_the_policy_and_named", 1, |nodes| {
        let intruder = nodes.lan.host("intruder", "192.168.2.66/24".parse()?)?;
        let claim = Arp::who_has(VIP, (intruder.mac, VIP)).broadcast();
        let since = nodes.wire.now();
        gateway_vm_tests::Capture::start(&intruder.namespace, "eth0")?.send(&claim)?;
        let node = nodes.mac(0);
        nodes.wire.wait_for("defence", since, PATIENCE, |frame| {
            let arp = Arp::parse(&frame.bytes)?;
            arp.announces(VIP, Operation::Request)
                .filter(|mac| *mac == node)
        })?;
        nodes.wait_said(
            0,
            "/conditions",
            &format!("with the MAC {}; it is defended", text(&intruder)),
        )?;
        nodes.folders[0].write(
            "config.yaml",
            &config("  announcement: {conflictPolicy: yield}\n"),
        )?;
        nodes.wait_said(0, "/snapshot", r#""conflicts":"yield""#)?;
        gateway_vm_tests::Capture::start(&intruder.namespace, "eth0")?.send(&claim)?;
        nodes.wait_said(0, "/snapshot", "another machine has the address")?;
        ensure!(nodes.who_has(SILENCE).is_err(), "the node has not yielded");
        Ok(())
    })
}

fn text(host: &Host) -> String {
    let bytes = host.mac.iter().map(|it| format!("{it:02x}"));
    bytes.collect::<Vec<_>>().join(":")
}
