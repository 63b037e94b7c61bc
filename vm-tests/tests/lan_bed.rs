//! The test bed by itself: what the other LAN tests take for granted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use gateway_vm_tests::client::{Conversation, Get, Transport};
use gateway_vm_tests::frame::Arp;
use gateway_vm_tests::pod::{Service, serve};
use gateway_vm_tests::{Host, Lan, client, dns, netlink};

const SECOND: Duration = Duration::from_secs(1);
const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 11);

#[test]
fn hosts_hear_each_other_and_the_port_records_it() -> anyhow::Result<()> {
    if gateway_vm_tests::skips("hosts_hear_each_other_and_the_port_records_it") {
        return Ok(());
    }
    let lan = Lan::new()?;
    let client = lan.host("client", "192.168.2.50/24".parse()?)?;
    let node = lan.host("node-1", "192.168.2.10/24".parse()?)?;
    let port = lan.capture(&node)?;
    let asker = (client.mac, client.address);
    let wire = lan.capture(&client)?;
    let since = port.now();
    let question = Arp::who_has(node.address, asker).broadcast();
    client_send(&client, &question)?;
    let mac = port.wait_for("ARP answer", since, SECOND, |frame| {
        Arp::parse(&frame.bytes)?.answers(node.address)
    })?;
    assert_eq!(mac, node.mac);
    assert!(wire.frames().iter().any(|frame| frame.bytes == question));
    Ok(())
}

#[test]
fn client_reaches_pods_through_the_node_with_its_own_address() -> anyhow::Result<()> {
    if gateway_vm_tests::skips("client_reaches_pods_through_the_node_with_its_own_address") {
        return Ok(());
    }
    let lan = Lan::new()?;
    let client = lan.host("client", "192.168.2.50/24".parse()?)?;
    let node = lan.host("node-1", "192.168.2.10/24".parse()?)?;
    node.make_node()?;
    let host = node.pod("all", POD)?;
    let at = |port| SocketAddr::from((POD, port));
    let _http = serve(&host, Service::Http, 80)?;
    let _tcp = serve(&host, Service::Tcp, 7)?;
    let _dns = serve(&host, Service::Dns, 53)?;
    let router = IpAddr::V4(node.address);
    client.namespace.run(move || async move {
        netlink::route("10.244.1.0/24".parse()?, netlink::Hop::Via(router)).await?;
        let get = Get::new("a.example", "/x?y=1").header("x-test", "1");
        let seen = client::get(at(80), &Transport::Plain, &get).await?.seen()?;
        assert_eq!(
            (seen.path.as_str(), seen.header("x-test")),
            ("/x?y=1", Some("1"))
        );
        assert_eq!(seen.peer.ip(), IpAddr::from([192, 168, 2, 50]));
        let mut talk = Conversation::open(at(7)).await?;
        talk.say("hello").await?;
        assert_eq!((talk.pod.as_str(), talk.seen), ("all", talk.local));
        let answer = dns::query(at(53), "a.example").await?;
        assert_eq!(answer.address, dns::ANSWER);
        assert_eq!(answer.text, format!("all {}", answer.local));
        Ok(())
    })
}

#[test]
fn interface_that_is_pulled_out_can_come_back() -> anyhow::Result<()> {
    if gateway_vm_tests::skips("interface_that_is_pulled_out_can_come_back") {
        return Ok(());
    }
    let lan = Lan::new()?;
    let address = "192.168.2.10/24".parse()?;
    let node = lan.host("node-1", address)?;
    let index = node.namespace.run(|| netlink::index("eth0"))?;
    node.unplug()?;
    assert!(node.namespace.run(|| netlink::index("eth0")).is_err());
    lan.plug(&node, address)?;
    assert_ne!(node.namespace.run(|| netlink::index("eth0"))?, index);
    Ok(())
}

fn client_send(client: &Host, frame: &[u8]) -> anyhow::Result<()> {
    gateway_vm_tests::Capture::start(&client.namespace, "eth0")?.send(frame)
}
