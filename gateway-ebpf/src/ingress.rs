//! Gate 2's way in: from a frame to an endpoint, to gate 3, or to a refusal.

use gateway_common::addr::Address;
use gateway_common::counter::Counter;
use gateway_common::flow::FlowKey;
use gateway_common::service::Service;

use crate::answer::{Quoted, Reply};
use crate::counters::count_traffic;
use crate::flow::{self, Signal};
use crate::ip::Ip;
use crate::ipv4::Ipv4;
use crate::ipv6::Ipv6;
use crate::neighbour::{Permission, permission};
use crate::packet::Frame;
use crate::parse::{self, Link, Payload, Segment, TCP, TcpFields, UDP};
use crate::rewrite::{self, End};
use crate::{answer, lookup, ndp, neighbour};

/// The first byte of all groups of IPv6.
const GROUP: u8 = 0xff;

/// Decides about a packet that comes in, and changes it as decided; [`Counter::Ipv6Unserved`] when that is for
/// [`steer_ipv6`].
#[inline(always)]
pub(crate) fn steer(frame: &impl Frame) -> Result<Counter, Counter> {
    let link = parse::link(frame)?;
    match link.payload {
        Payload::Arp => neighbour::arp(frame, &link),
        Payload::Ipv4 => packet::<Ipv4>(frame, &link),
        Payload::Ipv6 => ipv6(frame, &link),
        Payload::Other => Err(Counter::NoVip),
    }
}

/// The same for IPv6 that is no neighbour discovery, in a program of its own.
#[inline(always)]
pub(crate) fn steer_ipv6(frame: &impl Frame) -> Result<Counter, Counter> {
    let link = parse::link(frame)?;
    packet::<Ipv6>(frame, &link)
}

#[inline(always)]
fn packet<I: Quoted>(frame: &impl Frame, link: &Link) -> Result<Counter, Counter> {
    let mut ip = I::read(frame, link.length).ok_or(Counter::TooShort)?;
    let vip = ip.destination();
    if !lookup::may_be_vip(&vip) {
        return Err(Counter::NoVip);
    }
    let valid = ip.validate(frame);
    let segment = match valid.and_then(|()| parse::segment(frame, &ip)) {
        Ok(segment) => segment,
        Err(reason) => return Err(for_us(frame, link, &vip, None).err().unwrap_or(reason)),
    };
    match segment {
        Segment::Tcp(tcp) => {
            let service = lookup::service(vip, tcp.destination, TCP);
            for_us(frame, link, &vip, service.as_ref())?;
            match service {
                Some(service) => connection(frame, link, &ip, &tcp, &service),
                None => answer::reset(frame, link, &ip, &tcp, Counter::RefusedTcp),
            }
        }
        Segment::Udp(udp) => {
            let service = lookup::service(vip, udp.dst, UDP);
            for_us(frame, link, &vip, service.as_ref())?;
            let ports = (udp.src, udp.dst);
            match service {
                Some(service) => forward(frame, &ip, &service, ports, Signal::Datagram),
                None => answer::unreachable(frame, link, &ip),
            }
        }
        Segment::Icmp => {
            for_us(frame, link, &vip, None)?;
            icmp(frame, link, &ip)
        }
    }
}

/// Whether a packet is for a VIP and for this machine. Only a VIP has a service: then no second question is needed.
#[inline(always)]
fn for_us(
    frame: &impl Frame,
    link: &Link,
    vip: &Address,
    service: Option<&Service>,
) -> Result<(), Counter> {
    if service.is_none() && !lookup::is_vip(vip) {
        return Err(Counter::NoVip);
    }
    // Looked at only now, for what is no VIP's passes either way: a switch that has forgotten an address floods.
    if !link.is_group() && lookup::mac_of(frame.interface()) != Some(link.destination) {
        return Err(Counter::NotOurs);
    }
    Ok(())
}

/// Neighbour discovery, and whether [`steer_ipv6`] has to look at the rest: there is no stack for both families in one
/// program.
#[inline(always)]
fn ipv6(frame: &impl Frame, link: &Link) -> Result<Counter, Counter> {
    let mut ip = Ipv6::read(frame, link.length).ok_or(Counter::TooShort)?;
    let valid = ip.validate(frame);
    if valid.is_ok()
        && let Some(outcome) = ndp::message(frame, link, &ip)
    {
        return outcome;
    }
    // A solicitation may hide behind them, from the guard but not from the kernel.
    if valid == Err(Counter::Extensions) && ndp::is_solicited_node(&ip.header.dst_addr) {
        return Err(Counter::Extensions);
    }
    let [first, ..] = ip.header.dst_addr;
    Err(if first != GROUP && lookup::may_be_vip(&ip.destination()) {
        Counter::Ipv6Unserved
    } else if valid == Err(Counter::Truncated) {
        Counter::TooShort
    } else {
        Counter::NoVip
    })
}

/// Only the owner answers an echo: it is how another node learns whether the address is served. The programs of a dead
/// agent, which frames still reach, must not say so.
#[inline(always)]
fn icmp(frame: &impl Frame, link: &Link, ip: &impl Reply) -> Result<Counter, Counter> {
    match permission(ip.destination(), frame.interface()) {
        Permission::Given(_mac) => answer::echo(frame, link, ip),
        Permission::Expired | Permission::None => Err(Counter::IcmpOther),
    }
}

#[inline(always)]
fn connection(
    frame: &impl Frame,
    link: &Link,
    ip: &impl Reply,
    tcp: &TcpFields,
    service: &Service,
) -> Result<Counter, Counter> {
    let ports = (tcp.source, tcp.destination);
    match forward(frame, ip, service, ports, signal_of(tcp)) {
        Err(reason @ (Counter::NoBackendTcp | Counter::EndpointGone)) => {
            answer::reset(frame, link, ip, tcp, reason)
        }
        outcome => outcome,
    }
}

/// What a TCP header says about its connection.
#[inline(always)]
pub(crate) fn signal_of(tcp: &TcpFields) -> Signal {
    if tcp.has(TcpFields::FIN | TcpFields::RST) {
        Signal::Ends
    } else if tcp.has(TcpFields::SYN) && !tcp.has(TcpFields::ACK) {
        Signal::Opens
    } else {
        Signal::Continues
    }
}

#[inline(always)]
fn forward(
    frame: &impl Frame,
    ip: &impl Ip,
    service: &Service,
    (source, destination): ([u8; 2], [u8; 2]),
    signal: Signal,
) -> Result<Counter, Counter> {
    count_traffic(service, frame.len());
    if service.is_proxied() {
        return Err(Counter::Proxied);
    }
    let key = FlowKey::new(
        (ip.source(), source),
        (ip.destination(), destination),
        ip.protocol(),
    );
    let steering = flow::steer(&key, service, signal)?;
    let endpoint = (steering.address, steering.port);
    frame.change(&rewrite::replace(
        ip,
        End::Destination,
        destination,
        endpoint,
    ))?;
    Ok(steering.reason)
}
