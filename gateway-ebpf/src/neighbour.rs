//! Gate 1: who may answer for an address of a pool, and the guard that keeps the kernel from answering for any.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use gateway_common::addr::Address;
use gateway_common::announce::{Answer, AnswerKey};
use gateway_common::counter::Counter;
use network_types::arp::ArpHdr;
use network_types::ip::Ipv6Hdr;

use crate::maps::ANSWERS;
use crate::packet::{Frame, read};
use crate::parse::{ICMPV6, Link};
use crate::{answer, lookup};

const ETHERNET: [u8; 2] = [0, 1];
const IPV4: [u8; 2] = [0x08, 0x00];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

const IPV6_LEN: usize = 40;
const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Type, code, checksum and reserved bytes come before the target.
const TARGET_OFFSET: usize = 8;

/// ARP (RFC 826, RFC 5227).
#[inline(always)]
pub(crate) fn arp(frame: &impl Frame, link: &Link) -> Result<Counter, Counter> {
    let arp = read::<ArpHdr>(frame, link.length).ok_or(Counter::TooShort)?;
    let (sender, target) = (Address::from_v4(arp.spa), Address::from_v4(arp.tpa));
    let for_pool = lookup::is_in_pool(target);
    if !for_pool && !lookup::is_in_pool(sender) {
        return Err(Counter::NeighbourOther);
    }
    if !is_ethernet_ipv4(&arp) {
        return Err(Counter::ArpMalformed);
    }
    let claimed = sender == target || arp.oper == REPLY;
    if claimed && permission(sender, frame.interface()).is_ok() {
        return Err(Counter::ArpConflict);
    }
    // A reply, or a question about another address: this node's own resolution needs both.
    if arp.oper == REPLY || !for_pool {
        return Err(Counter::NeighbourOther);
    }
    if !link.is_group() && lookup::mac_of(frame.interface()) != Some(link.destination) {
        return Err(Counter::NotOurs);
    }
    let answer = permission(target, frame.interface())?;
    answer::arp(frame, link, &arp, answer.mac())
}

/// The permission to answer for an address, or why there is none.
#[inline(always)]
fn permission(address: Address, interface: u32) -> Result<Answer, Counter> {
    let entry = ANSWERS
        .get_ptr(AnswerKey::new(address, interface))
        .ok_or(Counter::ArpGuarded)?;
    // SAFETY: map memory stays valid while the program runs.
    let entry = unsafe { *entry };
    // SAFETY: takes nothing and reads a clock, the one that user space knows as CLOCK_MONOTONIC.
    let now = unsafe { bpf_ktime_get_ns() };
    if now >= entry.until_ns() {
        return Err(Counter::ArpExpired);
    }
    Ok(entry)
}

#[inline(always)]
fn is_ethernet_ipv4(arp: &ArpHdr) -> bool {
    let [first, ..] = arp.sha;
    let sender_is_station = first & 1 == 0 && arp.sha != [0; 6];
    arp.htype == ETHERNET
        && arp.ptype == IPV4
        && arp.hlen == 6
        && arp.plen == 4
        && (arp.oper == REQUEST || arp.oper == REPLY)
        && sender_is_station
}

/// IPv6: neighbour solicitations (RFC 4861) for an address of a pool end here, everything else passes.
#[inline(always)]
pub(crate) fn solicitation(frame: &impl Frame, link: &Link) -> Result<Counter, Counter> {
    let ip = read::<Ipv6Hdr>(frame, link.length).ok_or(Counter::TooShort)?;
    if ip.next_hdr != ICMPV6 {
        return Err(Counter::NoVip);
    }
    let message = link.length + IPV6_LEN;
    let [kind, _code] = read::<[u8; 2]>(frame, message).ok_or(Counter::TooShort)?;
    if kind != NEIGHBOUR_SOLICITATION {
        return Err(Counter::NoVip);
    }
    let target = read::<[u8; 16]>(frame, message + TARGET_OFFSET).ok_or(Counter::TooShort)?;
    if lookup::is_in_pool(Address::from_v6(target)) {
        Err(Counter::NdpGuarded)
    } else {
        Err(Counter::NeighbourOther)
    }
}
