//! Gate 3 behind gates 1 and 2: the proxy is reached through the socket lookup and sees the real client.

use std::net::IpAddr;

use gateway_vm_tests::Sanmon;
use gateway_vm_tests::bed::{Bed, HTTP, Mode, PATIENCE, VIP, on_bed};
use gateway_vm_tests::client::{self, Connection, Get, Transport};
use gateway_vm_tests::lan::NIC;
use gateway_vm_tests::netlink::{self, Hop};
use ipnet::IpNet;
use nix::sys::signal::Signal;

#[test]
fn native_reaches_the_proxy_which_sees_the_client() -> anyhow::Result<()> {
    let test = "native_reaches_the_proxy_which_sees_the_client";
    on_bed(test, Mode::Native, proxied)
}

#[test]
fn tc_reaches_the_proxy_which_sees_the_client() -> anyhow::Result<()> {
    on_bed(
        "tc_reaches_the_proxy_which_sees_the_client",
        Mode::Tc,
        proxied,
    )
}

fn proxied(bed: &mut Bed) -> anyhow::Result<()> {
    // A server of the host on the same port, which must not be reached through the VIP.
    let host = bed
        .node
        .namespace
        .run(|| async { Ok(tokio::net::TcpListener::bind("0.0.0.0:80").await?) })?;
    bed.client.namespace.run(|| async {
        let get = Get::new("any.example", "/path?q=1");
        let mut connection = Connection::open(HTTP, &Transport::Plain).await?;
        for _ in 0..10 {
            let seen = connection.get(&get).await?.seen()?;
            assert_eq!(seen.header("x-forwarded-for"), Some("192.168.2.50"));
            assert_eq!(seen.header("x-real-ip"), Some("192.168.2.50"));
            assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
            assert_eq!(
                (seen.path.as_str(), seen.header("host")),
                ("/path?q=1", Some("any.example"))
            );
            assert_ne!(seen.peer.ip(), IpAddr::V4(VIP));
        }
        Ok(())
    })?;
    drop(host);
    Ok(())
}

#[test]
fn host_itself_reaches_its_own_vip() -> anyhow::Result<()> {
    on_bed("host_itself_reaches_its_own_vip", Mode::Native, |bed| {
        bed.node.namespace.run(|| async {
            let get = Get::new("any.example", "/");
            let reply = client::get(HTTP, &Transport::Plain, &get).await?;
            assert_eq!(reply.status, 200);
            Ok(())
        })
    })
}

#[test]
fn vip_without_a_route_to_the_proxy_is_said_and_gets_it_when_it_can() -> anyhow::Result<()> {
    let test = "vip_without_a_route_to_the_proxy_is_said_and_gets_it_when_it_can";
    on_bed(test, Mode::Tc, |bed| {
        bed.sanmon.signal(Signal::SIGINT)?;
        bed.sanmon.wait(PATIENCE)?;
        // An address that is not local is none that a route may name as its source.
        let own = IpNet::from(IpAddr::V4(bed.node.address));
        let node = &bed.node.namespace;
        node.run(move || netlink::unroute(own, Hop::Own(NIC)))?;
        bed.sanmon = Sanmon::start(node, &bed.options)?;
        let says = |text: &'static str| {
            move |reply: &client::Reply| String::from_utf8_lossy(&reply.body).contains(text)
        };
        let unrouted = "192.168.2.200 has no route to the proxy";
        bed.sanmon
            .wait_for(node, "/readyz", PATIENCE, says(unrouted))?;
        assert_eq!(bed.sanmon.admin(node, "/readyz")?.status, 503);
        // The conditions follow on a task of their own.
        bed.sanmon
            .wait_for(node, "/conditions", PATIENCE, says(unrouted))?;

        // Nothing tells of it: it is tried again by itself.
        node.run(move || netlink::route(own, Hop::Own(NIC)))?;
        bed.sanmon.wait_ready(node, PATIENCE)?;
        bed.client.namespace.run(|| async {
            let get = Get::new("any.example", "/");
            let reply = client::get(HTTP, &Transport::Plain, &get).await?;
            assert_eq!(reply.status, 200);
            Ok(())
        })
    })
}
