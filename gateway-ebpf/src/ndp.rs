//! Gate 1 for IPv6: neighbour solicitations and advertisements about addresses of a pool (RFC 4861, RFC 4862).

use gateway_common::addr::Address;
use gateway_common::announce::MacBytes;
use gateway_common::counter::Counter;
use gateway_common::limits::NDP_OPTIONS_UNITS_MAX;

use crate::answer::ndp::{Question, advertise};
use crate::ip::Ip;
use crate::ipv6::{Ipv6, pseudo_header};
use crate::lookup;
use crate::neighbour::{Permission, permission};
use crate::packet::{Frame, read};
use crate::parse::{ICMPV6, Link};

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// A router on the way would have decreased it (RFC 4861 §7.1).
const HOP_LIMIT: u8 = 255;
/// Type, code, checksum, flags and target come before the options.
const FIXED_LEN: usize = 24;
const SOLICITED: u8 = 0x40;
/// The unit of an option's length.
const UNIT: usize = 8;
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

/// A message of neighbour discovery about an address of a pool.
struct Message {
    kind: u8,
    target: Address,
    is_solicited: bool,
    /// The link-layer address that it names.
    link_address: Option<MacBytes>,
}

/// Decides about a solicitation or an advertisement; none: the packet is something else.
#[inline(always)]
pub(crate) fn message(
    frame: &impl Frame,
    link: &Link,
    ip: &Ipv6,
) -> Option<Result<Counter, Counter>> {
    if ip.protocol != ICMPV6 {
        return None;
    }
    let [kind, _code] = read::<[u8; 2]>(frame, ip.transport)?;
    if kind != SOLICITATION && kind != ADVERTISEMENT {
        return None;
    }
    Some(neighbour(frame, link, ip))
}

#[inline(always)]
fn neighbour(frame: &impl Frame, link: &Link, ip: &Ipv6) -> Result<Counter, Counter> {
    let fixed = read::<[u8; FIXED_LEN]>(frame, ip.transport).ok_or(Counter::TooShort)?;
    let [_, _, _, _, _, _, _, _, target @ ..] = fixed;
    let target = Address::from_v6(target);
    if target.is_v4() || !lookup::is_in_pool(target) {
        return Err(Counter::NeighbourOther);
    }
    let message = checked(frame, ip, &fixed).ok_or(Counter::NdpMalformed)?;
    if message.kind == SOLICITATION {
        solicitation(frame, link, ip, &message)
    } else {
        advertisement(frame, link, ip, &message)
    }
}

/// Somebody asks who has the address, or wants it for itself (duplicate address detection).
#[inline(always)]
fn solicitation(
    frame: &impl Frame,
    link: &Link,
    ip: &Ipv6,
    message: &Message,
) -> Result<Counter, Counter> {
    let is_probe = ip.header.src_addr == [0; 16];
    // RFC 4861 §7.1.1: a probe goes to the address's own group and has nobody to answer to.
    if is_probe && (message.link_address.is_some() || !is_solicited_node(&ip.header.dst_addr)) {
        return Err(Counter::NdpMalformed);
    }
    if !link.is_group() && lookup::mac_of(frame.interface()) != Some(link.destination) {
        return Err(Counter::NotOurs);
    }
    let claim = is_probe.then_some(link.source);
    let mac = match permission(message.target, frame.interface()) {
        Permission::Given(mac) if claim == Some(mac) => return Err(Counter::NeighbourEcho),
        Permission::Given(mac) => mac,
        Permission::Expired => {
            if let Some(mac) = claim {
                lookup::note_claim(message.target, frame.interface(), mac);
            }
            return Err(Counter::NdpExpired);
        }
        Permission::None => return Err(Counter::NdpGuarded),
    };
    let question = Question {
        target: message.target,
        asker: (!is_probe).then_some((
            ip.header.src_addr,
            message.link_address.unwrap_or(link.source),
        )),
    };
    advertise(frame, ip.offset, &question, mac)
}

/// Somebody says that it has the address. This node's own resolution needs those about addresses that it does not own.
#[inline(always)]
fn advertisement(
    frame: &impl Frame,
    link: &Link,
    ip: &Ipv6,
    message: &Message,
) -> Result<Counter, Counter> {
    let [group, ..] = ip.header.dst_addr;
    if group == 0xff && message.is_solicited {
        return Err(Counter::NdpMalformed);
    }
    let claimant = message.link_address.unwrap_or(link.source);
    match permission(message.target, frame.interface()) {
        Permission::Given(mac) if mac == claimant => Err(Counter::NeighbourEcho),
        Permission::Given(_mac) => {
            lookup::note_claim(message.target, frame.interface(), claimant);
            Err(Counter::NdpConflict)
        }
        Permission::Expired => {
            lookup::note_claim(message.target, frame.interface(), claimant);
            Err(Counter::NeighbourOther)
        }
        Permission::None => Err(Counter::NeighbourOther),
    }
}

/// Holds a message against RFC 4861 §§7.1.1 and 7.1.2; none: it must be discarded.
#[inline(always)]
fn checked(frame: &impl Frame, ip: &Ipv6, fixed: &[u8; FIXED_LEN]) -> Option<Message> {
    let [kind, code, _, _, flags, _, _, _, target @ ..] = *fixed;
    let options = usize::from(ip.payload_len()).checked_sub(FIXED_LEN)?;
    let units = options / UNIT;
    if ip.header.hop_limit != HOP_LIMIT
        || code != 0
        || options % UNIT != 0
        || units > NDP_OPTIONS_UNITS_MAX
    {
        return None;
    }
    let wanted = if kind == SOLICITATION {
        SOURCE_LINK_ADDRESS
    } else {
        TARGET_LINK_ADDRESS
    };
    let mut sum = pseudo_header(&ip.header, ICMPV6, ip.payload_len());
    let (words, _none) = fixed.as_chunks::<4>();
    for word in words {
        sum = sum.add4(*word);
    }
    let mut link_address = None;
    let mut next = 0;
    for unit in 0..NDP_OPTIONS_UNITS_MAX {
        if unit >= units {
            break;
        }
        let place = ip.transport + FIXED_LEN + unit * UNIT;
        let [option, length, a, b, c, d, e, f] = read::<[u8; UNIT]>(frame, place)?;
        sum = sum.add4([option, length, a, b]).add4([c, d, e, f]);
        if unit != next {
            continue;
        }
        if length == 0 {
            return None;
        }
        next += usize::from(length);
        if option == wanted {
            // Ethernet addresses take one unit (RFC 2464 §6), and a group sends nothing.
            if length != 1 || a & 1 != 0 || [a, b, c, d, e, f] == [0; 6] {
                return None;
            }
            link_address = Some([a, b, c, d, e, f]);
        }
    }
    let is_whole = next == units && sum.finish() == [0; 2];
    is_whole.then_some(Message {
        kind,
        target: Address::from_v6(target),
        is_solicited: flags & SOLICITED != 0,
        link_address,
    })
}

/// The group that asks for all addresses with the same last 24 bits (RFC 4291 §2.7.1).
#[inline(always)]
pub(crate) fn is_solicited_node(address: &[u8; 16]) -> bool {
    let [prefix @ .., _, _, _] = address;
    *prefix == [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]
}
