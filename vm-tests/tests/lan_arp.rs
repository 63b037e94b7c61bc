//! Gate 1 on the wire: who answers for an address, and when it falls silent.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

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
        assert_eq!(gratuitous(bed, start)?, [bed.node.mac; 2]);
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
        assert_eq!(gratuitous(bed, thawed)?, [bed.node.mac; 2]);
        assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
        Ok(())
    })
}

#[test]
fn interface_that_vanishes_and_comes_back_is_announced_again() -> anyhow::Result<()> {
    let test = "interface_that_vanishes_and_comes_back_is_announced_again";
    on_bed(test, Mode::Tc, |bed| {
        bed.node.unplug()?;
        bed.replug()?;
        // The port is a new interface of the switch.
        bed.port = bed.lan.capture(&bed.node)?;
        assert_eq!(gratuitous(bed, Duration::ZERO)?, [bed.node.mac; 2]);
        assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
        bed.sanmon.wait_ready(&bed.node.namespace, PATIENCE)
    })
}

/// The MACs that a gratuitous request and a gratuitous reply name, once both have passed the node's port.
fn gratuitous(bed: &Bed, since: Duration) -> anyhow::Result<[Mac; 2]> {
    let told = |operation| {
        bed.port
            .wait_for("gratuitous ARP", since, PATIENCE, |frame| {
                Arp::parse(&frame.bytes)?.announces(VIP, operation)
            })
    };
    Ok([told(Operation::Request)?, told(Operation::Reply)?])
}
