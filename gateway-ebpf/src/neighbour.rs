//! Gate 1: who may answer for an address of a pool, and the guard that keeps the kernel from answering for any.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use gateway_common::addr::Address;
use gateway_common::announce::MacBytes;
use gateway_common::counter::Counter;
use network_types::arp::ArpHdr;

use crate::packet::{Frame, read};
use crate::parse::Link;
use crate::{answer, lookup};

const ETHERNET: [u8; 2] = [0, 1];
const IPV4: [u8; 2] = [0x08, 0x00];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// What this node may say about an address on an interface.
pub(crate) enum Permission {
    /// That it is here, with this Ethernet address.
    Given(MacBytes),
    /// Nothing any more, or not yet.
    Expired,
    /// Nothing.
    None,
}

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
    let interface = frame.interface();
    let claims = sender == target || arp.oper == REPLY;
    if claims {
        claim(sender, interface, arp.sha)?;
    }
    // A reply, or a question about another address: this node's own resolution needs both.
    if arp.oper == REPLY || !for_pool {
        return Err(Counter::NeighbourOther);
    }
    if !link.is_group() && lookup::mac_of(interface) != Some(link.destination) {
        return Err(Counter::NotOurs);
    }
    let is_probe = arp.spa == [0; 4];
    match permission(target, interface) {
        Permission::Given(mac) if is_probe && mac == arp.sha => Err(Counter::NeighbourEcho),
        Permission::Given(mac) => answer::arp(frame, link, &arp, mac),
        Permission::Expired => {
            // Who probes for what this node probes for wants it as well (RFC 5227 §2.1.1).
            if is_probe {
                lookup::note_claim(target, interface, arp.sha);
            }
            Err(Counter::ArpExpired)
        }
        Permission::None => Err(Counter::ArpGuarded),
    }
}

/// Another machine's word that an address is its own: a conflict while this node may answer for it.
#[inline(always)]
fn claim(address: Address, interface: u32, claimant: MacBytes) -> Result<(), Counter> {
    match permission(address, interface) {
        Permission::Given(mac) if mac == claimant => Err(Counter::NeighbourEcho),
        Permission::Given(_mac) => {
            lookup::note_claim(address, interface, claimant);
            Err(Counter::ArpConflict)
        }
        Permission::Expired => {
            lookup::note_claim(address, interface, claimant);
            Ok(())
        }
        Permission::None => Ok(()),
    }
}

/// What this node may say about an address.
#[inline(always)]
pub(crate) fn permission(address: Address, interface: u32) -> Permission {
    let Some(entry) = lookup::answer(address, interface) else {
        return Permission::None;
    };
    // SAFETY: takes nothing and reads a clock, the one that user space knows as CLOCK_MONOTONIC.
    let now = unsafe { bpf_ktime_get_ns() };
    if now >= entry.until_ns() {
        return Permission::Expired;
    }
    Permission::Given(entry.mac())
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
