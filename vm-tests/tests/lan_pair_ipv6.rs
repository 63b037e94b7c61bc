//! Two nodes and an IPv6 address: the one that is left goes on, and the two never answer beside each other.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gateway_vm_tests::Host;
use gateway_vm_tests::bed::PATIENCE;
use gateway_vm_tests::lan::NIC;
use gateway_vm_tests::netlink::{self, Hop, Mac};
use gateway_vm_tests::nodes::{Fault, Nodes, ROUTER, config};
use gateway_vm_tests::packet::eth;
use ipnet::IpNet;

const VIP: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xc8);
const CLIENT: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 0x50);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 1);
/// The group that solicitations for the VIP are sent to, and its Ethernet address.
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0xc8);
const GROUP_MAC: Mac = [0x33, 0x33, 0xff, 0, 0, 0xc8];
/// Distance of the client's questions.
const PROBE: Duration = Duration::from_millis(5);
/// How long is asked after a fault.
const AFTER: Duration = Duration::from_millis(2850);
/// The promise is a second; a busy machine that freezes all parts of the test at once is not what is tested.
const GAP_MAX: Duration = Duration::from_millis(2500);

/// Whom the nodes can ask.
#[derive(Clone, Copy)]
enum Witness {
    RouterOfBothFamilies,
    RouterOfIpv6,
}

#[test]
fn survivor_of_two_takes_over_an_ipv6_address() -> anyhow::Result<()> {
    let test = "survivor_of_two_takes_over_an_ipv6_address";
    for witness in [Witness::RouterOfBothFamilies, Witness::RouterOfIpv6] {
        on_pair(test, witness, |nodes| {
            let owner = owner(nodes)?;
            let answers = ask(nodes, AFTER, |it| it.inflict(Fault::Kill, owner))?;
            expect_one_change(&answers, nodes.mac(owner), nodes.mac(1 - owner))
        })?;
    }
    Ok(())
}

#[test]
fn owner_of_an_ipv6_address_stays_when_the_switch_keeps_two_nodes_apart() -> anyhow::Result<()> {
    let test = "owner_of_an_ipv6_address_stays_when_the_switch_keeps_two_nodes_apart";
    on_pair(test, Witness::RouterOfIpv6, |nodes| {
        let owner = owner(nodes)?;
        let answers = ask(nodes, AFTER, |it| it.inflict(Fault::Isolate, owner))?;
        let strangers: Vec<_> = answers
            .iter()
            .filter(|it| it.1 != nodes.mac(owner))
            .collect();
        ensure!(strangers.is_empty(), "two answer: {strangers:02x?}");
        nodes.wait_said(1 - owner, "/snapshot", "still answers")?;
        // The owner dies while they are apart: the router does not hear it any more.
        let answers = ask(nodes, AFTER, |it| it.inflict(Fault::Kill, owner))?;
        expect_one_change(&answers, nodes.mac(owner), nodes.mac(1 - owner))
    })
}

fn on_pair(
    test: &str,
    witness: Witness,
    body: impl FnOnce(&mut Nodes) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if gateway_vm_tests::skips(test) {
        return Ok(());
    }
    let mut nodes = Nodes::without_processes(2)?;
    enable(&nodes.client, CLIENT)?;
    enable(&nodes.router, ROUTER6)?;
    let router = &nodes.router.namespace;
    router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    let wished = match witness {
        Witness::RouterOfBothFamilies => "192.168.2.200}, {type: IPAddress, value: \"fd00:2::c8\"}",
        // Another address that is found answered would do for both.
        Witness::RouterOfIpv6 => "\"fd00:2::c8\"}",
    };
    let text = config("")
        .replace(
            "192.168.2.250\"",
            "192.168.2.250\", \"fd00:2::c8-fd00:2::fa\"",
        )
        .replace("192.168.2.200}", wished);
    for (number, host) in (1..).zip(&nodes.hosts) {
        enable(host, Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 0x10 + number))?;
        host.namespace
            .sysctl("net/ipv6/conf/lo/disable_ipv6", "0")?;
        host.namespace.run(move || async move {
            netlink::route("::/0".parse()?, Hop::Via(ROUTER6.into())).await?;
            match witness {
                Witness::RouterOfBothFamilies => Ok(()),
                Witness::RouterOfIpv6 => {
                    netlink::unroute("0.0.0.0/0".parse()?, Hop::Via(IpAddr::V4(ROUTER))).await
                }
            }
        })?;
    }
    for folder in &nodes.folders {
        folder.write("config.yaml", &text)?;
    }
    for number in 0..2 {
        nodes.start(number)?;
    }
    for number in 0..2 {
        nodes.wait_ready(number)?;
    }
    let result = body(&mut nodes);
    nodes.explain(test, result)
}

/// The node that answers for the VIP.
fn owner(nodes: &Nodes) -> anyhow::Result<usize> {
    let since = nodes.wire.now();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        nodes.wire.send(&question(&nodes.client))?;
        let soon = Duration::from_millis(50);
        let answer = nodes
            .wire
            .wait_for("an advertisement", since, soon, |it| answer(&it.bytes));
        if let Ok(mac) = answer {
            let found = nodes.hosts.iter().position(|host| host.mac == mac);
            return found.context("a stranger answers");
        }
    }
    anyhow::bail!("nobody answers for {VIP}")
}

/// Lets something happen and asks all the time for a while: when was answered, and from where.
fn ask(
    nodes: &Nodes,
    after: Duration,
    happen: impl FnOnce(&Nodes) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<(Duration, Mac)>> {
    // A busy kernel may take seconds to let it happen.
    happen(nodes)?;
    let since = nodes.wire.now();
    while nodes.wire.now() < since + after {
        nodes.wire.send(&question(&nodes.client))?;
        std::thread::sleep(PROBE);
    }
    let frames = nodes.wire.frames().into_iter().filter(|it| it.at >= since);
    let end = nodes.wire.now();
    let answers: Vec<_> = frames
        .filter_map(|frame| Some((frame.at, answer(&frame.bytes)?)))
        .collect();
    let times: Vec<Duration> = answers.iter().map(|it| it.0).chain([end]).collect();
    let gaps = std::iter::once(since).chain(times.clone()).zip(times);
    let gap = gaps.map(|(one, next)| next.saturating_sub(one)).max();
    ensure!(gap < Some(GAP_MAX), "nobody answered for {gap:?}");
    Ok(answers)
}

fn expect_one_change(answers: &[(Duration, Mac)], from: Mac, to: Mac) -> anyhow::Result<()> {
    let mut macs: Vec<Mac> = answers.iter().map(|it| it.1).collect();
    macs.dedup();
    ensure!(
        macs == [from, to] || macs == [to],
        "from {from:02x?} to {to:02x?}, but the answers came from {macs:02x?}"
    );
    Ok(())
}

fn question(client: &Host) -> Vec<u8> {
    let ip = eth(client.mac, GROUP_MAC).ipv6(CLIENT, GROUP);
    ip.solicitation(VIP).source_mac(client.mac).build()
}

/// Who says in an advertisement that the VIP is there.
fn answer(frame: &[u8]) -> Option<Mac> {
    let is_advertisement = frame.get(12..14)? == [0x86, 0xdd] && frame.get(54)? == &136;
    let is_solicited = is_advertisement && frame.get(58)? & 0x40 != 0;
    let is_ours = frame.get(62..78)? == VIP.octets().as_slice();
    (is_solicited && is_ours).then(|| frame.get(6..12)?.try_into().ok())?
}

/// Gives a host an address, whatever the machine's default is.
fn enable(host: &Host, address: Ipv6Addr) -> anyhow::Result<()> {
    let parameter = format!("net/ipv6/conf/{NIC}/disable_ipv6");
    host.namespace.sysctl(&parameter, "0")?;
    let address = IpNet::new(address.into(), 64)?;
    host.namespace
        .run(move || async move { netlink::address(NIC, address).await })
}
