//! IPv6 on the wire: a Gateway of both families, clients and pods of one each, through all three gates.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use gateway_vm_tests::bed::{Bed, DNS, HTTP, Mode, PATIENCE, SOON, TCP, on_bed};
use gateway_vm_tests::client::{self, Connection, Conversation, Get, Transport};
use gateway_vm_tests::lan::{Host, NIC};
use gateway_vm_tests::netlink::{self, Hop};
use gateway_vm_tests::packet::eth;
use gateway_vm_tests::pod::{self, Service};
use gateway_vm_tests::{Task, dns, sanmon};
use ipnet::IpNet;
use nix::sys::signal::Signal;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;

const VIP: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xc8);
const CLIENT: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 0x50);
const NODE: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 0x10);
/// The router of every pod, on its node, as for IPv4.
const POD_ROUTER: Ipv6Addr = Ipv6Addr::new(0xfd00, 10, 1, 0, 0, 0, 0, 1);
/// Enough flows that with two equal pods each of them has some (2⁻¹⁹ against it).
const FLOWS: usize = 20;
/// Enough requests that with four each of them has some.
const REQUESTS: usize = 60;

#[test]
fn native_serves_a_client_that_has_ipv6_only() -> anyhow::Result<()> {
    let test = "native_serves_a_client_that_has_ipv6_only";
    on_bed(test, Mode::Native, serves)
}

#[test]
fn tc_serves_a_client_that_has_ipv6_only() -> anyhow::Result<()> {
    on_bed("tc_serves_a_client_that_has_ipv6_only", Mode::Tc, serves)
}

fn serves(bed: &mut Bed) -> anyhow::Result<()> {
    let _services = both_families(bed)?;
    let v4 = IpNet::from(IpAddr::V4(bed.client.address));
    let lan = IpNet::new(v4.addr(), 24)?;
    let without_v4 = move || async move { netlink::unaddress(NIC, lan).await };
    bed.client.namespace.run(without_v4)?;

    proxied(bed)?;
    steered(bed)?;
    refused(bed)?;
    echoed(bed)?;
    // Last: recordings lose frames in it.
    bulk(bed)
}

/// HTTP from IPv6 to pods of either family.
fn proxied(bed: &Bed) -> anyhow::Result<()> {
    let pods = bed.client.namespace.run(|| async {
        let get = Get::new("any.example", "/");
        let mut connection = Connection::open(at(80), &Transport::Plain).await?;
        let mut pods = BTreeSet::new();
        for _ in 0..REQUESTS {
            let seen = connection.get(&get).await?.seen()?;
            assert_eq!(seen.header("x-forwarded-for"), Some("fd00:2::1:50"));
            assert_eq!(seen.header("x-real-ip"), Some("fd00:2::1:50"));
            pods.insert(seen.pod);
        }
        Ok(pods)
    })?;
    let expected = ["pod-1", "pod-2", "pod-3", "pod-4"];
    assert_eq!(pods, expected.map(String::from).into());
    // The node itself is a client as well: its route names an address that can be answered to.
    bed.node.namespace.run(|| async {
        let get = Get::new("any.example", "/");
        let reply = client::get(at(80), &Transport::Plain, &get).await?;
        assert_eq!(reply.local.ip(), NODE);
        assert_eq!(
            reply.seen()?.header("x-forwarded-for"),
            Some("fd00:2::1:10")
        );
        Ok(())
    })
}

/// TCP and UDP to the pods that have IPv6, which see the client.
fn steered(bed: &Bed) -> anyhow::Result<()> {
    let pods = bed.client.namespace.run(|| async {
        let mut pods = BTreeSet::new();
        for _ in 0..FLOWS {
            let mut talk = Conversation::open(at(7000)).await?;
            assert_eq!((talk.seen, talk.seen.ip()), (talk.local, CLIENT.into()));
            talk.say("hello").await?;
            pods.insert(format!("tcp {}", talk.pod));
            let socket = UdpSocket::bind((CLIENT, 0)).await?;
            let answer = dns::query_from(&socket, at(53), "a.example").await?;
            let (pod, seen) = answer.text.split_once(' ').unwrap_or_default();
            assert_eq!(seen.parse(), Ok(socket.local_addr()?));
            pods.insert(format!("udp {pod}"));
        }
        Ok(pods)
    })?;
    let expected = ["tcp pod-3", "tcp pod-4", "udp pod-3", "udp pod-4"];
    assert_eq!(pods, expected.map(String::from).into());
    Ok(())
}

/// Segments that network cards join and cut, and checksums that the sender left to them.
fn bulk(bed: &Bed) -> anyhow::Result<()> {
    let numbers = (0..1_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761));
    let bytes: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
    bed.client
        .namespace
        .run(move || async move { Conversation::open(at(7000)).await?.exchange(&bytes).await })
}

/// A socket of the host listens on every address at port 22; the VIP's port 22 stays closed.
fn refused(bed: &Bed) -> anyhow::Result<()> {
    let _host = bed.node.namespace.run(|| async {
        Ok((
            TcpListener::bind("[::]:22").await?,
            UdpSocket::bind("[::]:22").await?,
        ))
    })?;
    bed.client.namespace.run(|| async {
        TcpStream::connect((NODE, 22)).await?;
        let refused = tokio::time::timeout(SOON, TcpStream::connect(at(22))).await?;
        let kind = refused.map(|_open| ()).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::ConnectionRefused));

        let socket = UdpSocket::bind("[::]:0").await?;
        socket.connect(at(22)).await?;
        for length in [0, 1, 1000, 1400] {
            socket.send(&vec![7; length]).await?;
            let refused = tokio::time::timeout(SOON, socket.recv(&mut [0; 16])).await?;
            let kind = refused.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::ConnectionRefused), "{length} bytes");
        }
        Ok(())
    })
}

/// The owner says that the address is there.
fn echoed(bed: &Bed) -> anyhow::Result<()> {
    let message = b"\x12\x34\x00\x01are you there?";
    let request = eth(bed.client.mac, bed.node.mac).ipv6(CLIENT, VIP);
    let reply = eth(bed.node.mac, bed.client.mac).ipv6(VIP, CLIENT);
    let reply = reply.icmp(129, 0, message);
    let since = bed.wire.now();
    bed.wire.send(&request.icmp(128, 0, message))?;
    bed.wire.wait_for("echo reply", since, SOON, |frame| {
        (frame.bytes == reply).then_some(())
    })
}

#[test]
fn a_gateway_of_both_families_serves_ipv4_as_before() -> anyhow::Result<()> {
    let test = "a_gateway_of_both_families_serves_ipv4_as_before";
    on_bed(test, Mode::Tc, |bed| {
        let _services = both_families(bed)?;
        let pods = bed.client.namespace.run(|| async {
            let get = Get::new("any.example", "/");
            let mut connection = Connection::open(HTTP, &Transport::Plain).await?;
            let mut pods = BTreeSet::new();
            for _ in 0..REQUESTS {
                let seen = connection.get(&get).await?.seen()?;
                assert_eq!(seen.header("x-forwarded-for"), Some("192.168.2.50"));
                pods.insert(format!("http {}", seen.pod));
            }
            for _ in 0..FLOWS {
                pods.insert(format!("tcp {}", Conversation::open(TCP).await?.pod));
                let answer = dns::query(DNS, "a.example").await?;
                let pod = answer.text.split(' ').next().unwrap_or_default();
                pods.insert(format!("udp {pod}"));
            }
            Ok(pods)
        })?;
        let http = (1..=4).map(|number| format!("http pod-{number}"));
        let steered = ["tcp pod-1", "tcp pod-2", "udp pod-1", "udp pod-2"];
        let expected = http.chain(steered.map(String::from));
        assert_eq!(pods, expected.collect());
        Ok(())
    })
}

#[test]
fn ipv6_flows_outlive_a_killed_process_whose_successor_takes_over() -> anyhow::Result<()> {
    let test = "ipv6_flows_outlive_a_killed_process_whose_successor_takes_over";
    for mode in [Mode::Native, Mode::Tc] {
        on_bed(test, mode, outlives)?;
    }
    Ok(())
}

fn outlives(bed: &mut Bed) -> anyhow::Result<()> {
    let _services = both_families(bed)?;
    let (killed, is_killed) = oneshot::channel();
    let (restarted, is_restarted) = oneshot::channel();
    let (opened, is_open) = std::sync::mpsc::channel();
    let flow = bed.client.namespace.spawn(move || async move {
        let mut talk = Conversation::open(at(7000)).await?;
        opened.send(())?;
        is_killed.await?;
        talk.say("without a process").await?;
        Conversation::open(at(7000))
            .await?
            .say("a new flow")
            .await?;
        is_restarted.await?;
        talk.say("with a successor").await?;
        Conversation::open(at(7000))
            .await?
            .say("a new flow")
            .await?;
        let get = Get::new("any.example", "/");
        let reply = client::get(at(80), &Transport::Plain, &get).await?;
        assert_eq!(reply.status, 200);
        Ok(())
    });
    is_open.recv_timeout(PATIENCE)?;
    bed.sanmon.signal(Signal::SIGKILL)?;
    bed.sanmon.wait(SOON)?;
    assert!(killed.send(()).is_ok());
    bed.restart()?;
    assert!(restarted.send(()).is_ok());
    flow.join(PATIENCE)
}

#[test]
fn uninstall_removes_the_ipv6_routes_too() -> anyhow::Result<()> {
    let test = "uninstall_removes_the_ipv6_routes_too";
    on_bed(test, Mode::Tc, |bed| {
        let _services = both_families(bed)?;
        assert!(routes(bed)?.contains(VIP_IN_PROC), "or this shows nothing");
        bed.sanmon.signal(Signal::SIGKILL)?;
        bed.sanmon.wait(SOON)?;
        let root = bed.options.bpf_root.clone().into_os_string();
        let arguments = ["uninstall".into(), OsString::from("--bpf-root"), root];
        let done = sanmon::run_to_end(&bed.node.namespace, &arguments)?;
        assert!(done.status.success(), "{done:?}");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(said.contains("route fd00:2::c8 table 7473"), "{said}");
        let left = routes(bed)?;
        assert!(!left.contains(VIP_IN_PROC), "{left}");
        Ok(())
    })
}

/// The VIP as `/proc/net/ipv6_route` writes it.
const VIP_IN_PROC: &str = "fd0000020000000000000000000000c8 80";

/// The node's IPv6 routes, of all tables.
fn routes(bed: &Bed) -> anyhow::Result<String> {
    let list = || async { Ok(std::fs::read_to_string("/proc/thread-self/net/ipv6_route")?) };
    bed.node.namespace.run(list)
}

const fn at(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(VIP), port)
}

/// Gives everything IPv6 beside IPv4, the Gateway a second address, and the Service `pod-3` and `pod-4` by IPv6 alone.
fn both_families(bed: &mut Bed) -> anyhow::Result<Vec<Task<()>>> {
    enable(&bed.client, NIC, CLIENT, 64)?;
    enable(&bed.node, NIC, NODE, 64)?;
    for (parameter, value) in [("all/forwarding", "1"), ("lo/disable_ipv6", "0")] {
        let parameter = format!("net/ipv6/conf/{parameter}");
        bed.node.namespace.sysctl(&parameter, value)?;
    }
    let mut services = Vec::new();
    for pod in bed.pods.get(2..).unwrap_or_default() {
        let address = address_of(pod);
        let link = format!("pod-{}", pod.namespace.name());
        enable(&bed.node, &link, POD_ROUTER, 128)?;
        let alone = IpNet::from(IpAddr::V6(address));
        bed.node
            .namespace
            .run(move || async move { netlink::route(alone, Hop::Link(&link)).await })?;
        enable(pod, NIC, address, 128)?;
        pod.namespace.run(|| async {
            netlink::route(IpNet::from(IpAddr::V6(POD_ROUTER)), Hop::Link(NIC)).await?;
            netlink::route("::/0".parse()?, Hop::Via(POD_ROUTER.into())).await
        })?;
        for (service, port) in [
            (Service::Http, 8080),
            (Service::Tcp, 7001),
            (Service::Dns, 5353),
        ] {
            services.push(pod::serve_on(pod, service, (address, port).into())?);
        }
    }
    configure(bed)?;
    Ok(services)
}

fn configure(bed: &mut Bed) -> anyhow::Result<()> {
    for (file, v4, both) in [
        (
            "config.yaml",
            "\"192.168.2.200-192.168.2.250\"",
            "\"192.168.2.200-192.168.2.250\", \"fd00:2::c8-fd00:2::fa\"",
        ),
        (
            "gateway.yaml",
            "{type: IPAddress, value: 192.168.2.200}",
            "{type: IPAddress, value: 192.168.2.200}, {type: IPAddress, value: \"fd00:2::c8\"}",
        ),
    ] {
        let text = std::fs::read_to_string(bed.folder.path().join(file))?;
        anyhow::ensure!(text.contains(v4), "{file} has no {v4}");
        bed.folder.write(file, &text.replace(v4, both))?;
    }
    let pods = bed.pods.get(2..).unwrap_or_default().iter();
    let endpoints = pods.map(|pod| format!("- {{addresses: [\"{}\"]}}\n", address_of(pod)));
    let text = format!("{SLICE}{}", endpoints.collect::<String>());
    bed.folder.write("pods-ipv6.yaml", &text)?;
    let node = &bed.node.namespace;
    bed.sanmon.wait_for(node, "/snapshot", PATIENCE, |reply| {
        let text = String::from_utf8_lossy(&reply.body);
        ["\"fd00:2::c8\"", "[fd00:a:1::e]:8080"].map(|it| text.contains(it)) == [true; 2]
    })?;
    bed.sanmon.wait_ready(node, PATIENCE)
}

const SLICE: &str = "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: app-ipv6
  labels: {kubernetes.io/service-name: app}
addressType: IPv6
ports:
- {name: http, port: 8080, protocol: TCP}
- {name: tcp, port: 7001, protocol: TCP}
- {name: dns, port: 5353, protocol: UDP}
endpoints:
";

/// A pod's IPv6 address ends as its IPv4 address does.
fn address_of(pod: &Host) -> Ipv6Addr {
    let [.., last] = pod.address.octets();
    Ipv6Addr::new(0xfd00, 10, 1, 0, 0, 0, 0, last.into())
}

/// Gives an interface an address, whatever the machine's default is.
fn enable(host: &Host, interface: &str, address: Ipv6Addr, bits: u8) -> anyhow::Result<()> {
    host.namespace
        .sysctl(&format!("net/ipv6/conf/{interface}/disable_ipv6"), "0")?;
    let interface = interface.to_owned();
    let address = IpNet::new(address.into(), bits)?;
    host.namespace
        .run(move || async move { netlink::address(&interface, address).await })
}
