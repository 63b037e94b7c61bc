//! Gate 1 on the wire: who answers for an address, and when it falls silent.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gateway_vm_tests::Sanmon;
use gateway_vm_tests::bed::{Bed, FREE, Mode, PATIENCE, SILENCE, SOON, VIP, on_bed};
use gateway_vm_tests::frame::{Arp, Operation};
use gateway_vm_tests::netlink::{self, Hop, Mac};
use nix::sys::signal::Signal;

/// The default lease, and what a busy machine may add before the last answer is recorded.
const LEASE: Duration = Duration::from_millis(1000);
const SLACK: Duration = Duration::from_millis(250);
/// An address that no pool has.
const STRAY: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 77);

#[test]
fn native_answers_with_the_nodes_mac() -> anyhow::Result<()> {
    on_bed("native_answers_with_the_nodes_mac", Mode::Native, answers)
}

#[test]
fn tc_answers_with_the_nodes_mac() -> anyhow::Result<()> {
    on_bed("tc_answers_with_the_nodes_mac", Mode::Tc, answers)
}

fn answers(bed: &mut Bed) -> anyhow::Result<()> {
    assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
    Ok(())
}

#[test]
fn native_never_answers_for_a_free_pool_address_that_the_kernel_has() -> anyhow::Result<()> {
    let test = "native_never_answers_for_a_free_pool_address_that_the_kernel_has";
    on_bed(test, Mode::Native, guards)
}

#[test]
fn tc_never_answers_for_a_free_pool_address_that_the_kernel_has() -> anyhow::Result<()> {
    let test = "tc_never_answers_for_a_free_pool_address_that_the_kernel_has";
    on_bed(test, Mode::Tc, guards)
}

fn guards(bed: &mut Bed) -> anyhow::Result<()> {
    bed.node.namespace.run(|| async {
        for address in [FREE, STRAY] {
            netlink::address("lo", IpAddr::V4(address).into()).await?;
        }
        // The prefix route of the pool, as gate 3 needs it for addresses that are served.
        netlink::route("192.168.2.224/27".parse()?, Hop::Local).await
    })?;
    assert_eq!(
        bed.who_has(STRAY, SOON)?,
        bed.node.mac,
        "the kernel answers for what it has, or this test shows nothing"
    );
    for silent in [FREE, Ipv4Addr::new(192, 168, 2, 250)] {
        assert!(bed.who_has(silent, SILENCE).is_err(), "{silent}");
    }
    assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
    Ok(())
}

#[test]
fn vip_that_appears_is_told_as_request_and_as_reply() -> anyhow::Result<()> {
    let test = "vip_that_appears_is_told_as_request_and_as_reply";
    on_bed(test, Mode::Tc, |bed| {
        let start = Duration::ZERO;
        assert_eq!(told(bed, VIP, start)?, [bed.node.mac; 2]);
        Ok(())
    })
}

#[test]
fn frozen_process_falls_silent_within_the_lease_and_wins_again_when_it_thaws() -> anyhow::Result<()>
{
    let test = "frozen_process_falls_silent_within_the_lease_and_wins_again_when_it_thaws";
    on_bed(test, Mode::Native, |bed| {
        bed.sanmon.signal(Signal::SIGSTOP)?;
        let frozen = Instant::now();
        let mut last = Duration::ZERO;
        // Each question is answered at once or not at all.
        while frozen.elapsed() < LEASE + SLACK + SILENCE {
            let asked = frozen.elapsed();
            if bed.who_has(VIP, Duration::from_millis(20)).is_ok() {
                last = asked;
            }
        }
        assert!(last > Duration::ZERO, "answers go on for a while");
        assert!(last <= LEASE + SLACK, "answered {last:?} after the freeze");
        let thawed = bed.port.now();
        bed.sanmon.signal(Signal::SIGCONT)?;
        assert_eq!(told(bed, VIP, thawed)?, [bed.node.mac; 2]);
        assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
        Ok(())
    })
}

#[test]
fn vip_that_goes_is_silent_and_told_again_when_it_comes_back() -> anyhow::Result<()> {
    let test = "vip_that_goes_is_silent_and_told_again_when_it_comes_back";
    on_bed(test, Mode::Native, |bed| {
        let gateway = bed.folder.read("gateway.yaml")?;
        let moved = gateway.replace(&VIP.to_string(), &FREE.to_string());
        bed.folder.write("gateway.yaml", &moved)?;
        told(bed, FREE, Duration::ZERO)?;
        assert_eq!(bed.who_has(FREE, SOON)?, bed.node.mac);
        bed.sanmon.wait_ready(&bed.node.namespace, PATIENCE)?;
        assert!(bed.who_has(VIP, SILENCE).is_err());
        let since = bed.port.now();
        bed.folder.write("gateway.yaml", &gateway)?;
        assert_eq!(told(bed, VIP, since)?, [bed.node.mac; 2]);
        assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
        bed.sanmon.wait_ready(&bed.node.namespace, PATIENCE)?;
        assert!(bed.who_has(FREE, SILENCE).is_err());
        Ok(())
    })
}

#[test]
fn native_announces_again_on_an_interface_that_comes_back() -> anyhow::Result<()> {
    let test = "native_announces_again_on_an_interface_that_comes_back";
    on_bed(test, Mode::Native, comes_back)
}

#[test]
fn tc_announces_again_on_an_interface_that_comes_back() -> anyhow::Result<()> {
    let test = "tc_announces_again_on_an_interface_that_comes_back";
    on_bed(test, Mode::Tc, comes_back)
}

fn comes_back(bed: &mut Bed) -> anyhow::Result<()> {
    bed.node.unplug()?;
    bed.replug()?;
    assert_eq!(told(bed, VIP, Duration::ZERO)?, [bed.node.mac; 2]);
    assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
    bed.sanmon.wait_ready(&bed.node.namespace, PATIENCE)
}

#[test]
fn interface_that_is_missing_at_the_start_is_announced_when_it_appears() -> anyhow::Result<()> {
    let test = "interface_that_is_missing_at_the_start_is_announced_when_it_appears";
    on_bed(test, Mode::Tc, |bed| {
        bed.sanmon.signal(Signal::SIGTERM)?;
        bed.sanmon.wait(PATIENCE)?;
        bed.node.unplug()?;
        bed.options.more = vec!["--interface".into(), "eth0".into()];
        bed.sanmon = Sanmon::start(&bed.node.namespace, &bed.options)?;
        let node = &bed.node.namespace;
        bed.sanmon
            .wait_for(node, "/readyz", PATIENCE, |reply| reply.status == 503)?;
        bed.replug()?;
        bed.sanmon.wait_ready(&bed.node.namespace, PATIENCE)?;
        assert_eq!(told(bed, VIP, Duration::ZERO)?, [bed.node.mac; 2]);
        assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
        Ok(())
    })
}
/// The MACs that a gratuitous request and a gratuitous reply name, once both have passed the node's port.
fn told(bed: &Bed, vip: Ipv4Addr, since: Duration) -> anyhow::Result<[Mac; 2]> {
    let told = |operation| {
        bed.port
            .wait_for("gratuitous ARP", since, PATIENCE, |frame| {
                Arp::parse(&frame.bytes)?.announces(vip, operation)
            })
    };
    Ok([told(Operation::Request)?, told(Operation::Reply)?])
}
