//! Gate 2's way in: from a frame to an endpoint, to gate 3, or to a refusal.

use gateway_common::counter::Counter;
use gateway_common::flow::FlowKey;
use gateway_common::service::Service;

use crate::counters::count_traffic;
use crate::flow::{self, Signal};
use crate::ipv6::Ipv6;
use crate::neighbour::{Permission, permission};
use crate::packet::Frame;
use crate::parse::{self, ICMP, Ipv4, Link, Payload, TCP, TcpFields, UDP};
use crate::rewrite::{self, End};
use crate::{answer, lookup, ndp, neighbour};

/// Decides about a packet that comes in, and changes it as decided.
#[inline(always)]
pub(crate) fn steer(frame: &impl Frame) -> Result<Counter, Counter> {
    let link = parse::link(frame)?;
    match link.payload {
        Payload::Arp => neighbour::arp(frame, &link),
        Payload::Ipv4 => ipv4(frame, &link),
        Payload::Ipv6 => ipv6(frame, &link),
        Payload::Other => Err(Counter::NoVip),
    }
}

#[inline(always)]
fn ipv4(frame: &impl Frame, link: &Link) -> Result<Counter, Counter> {
    let mut ip = Ipv4::read(frame, link.length).ok_or(Counter::TooShort)?;
    if !lookup::is_vip(&ip.destination()) {
        return Err(Counter::NoVip);
    }
    // Looked at only now, for what is no VIP's passes either way: a switch that has forgotten an address floods.
    if !link.is_group() && lookup::mac_of(frame.interface()) != Some(link.destination) {
        return Err(Counter::NotOurs);
    }
    ip.validate(frame)?;
    match ip.header.proto {
        TCP => tcp(frame, link, &ip),
        UDP => udp(frame, link, &ip),
        ICMP => icmp(frame, link, &ip),
        _ => Err(Counter::OtherProtocol),
    }
}

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
    match valid {
        Err(Counter::Truncated) => Err(Counter::TooShort),
        Ok(()) | Err(_) => Err(Counter::NoVip),
    }
}

/// Only the owner answers an echo: it is how another node learns whether the address is served. The programs of a dead
/// agent, which frames still reach, must not say so.
#[inline(always)]
fn icmp(frame: &impl Frame, link: &Link, ip: &Ipv4) -> Result<Counter, Counter> {
    match permission(ip.destination(), frame.interface()) {
        Permission::Given(_mac) => answer::echo(frame, link, ip),
        Permission::Expired | Permission::None => Err(Counter::IcmpOther),
    }
}

#[inline(always)]
fn tcp(frame: &impl Frame, link: &Link, ip: &Ipv4) -> Result<Counter, Counter> {
    let tcp = parse::tcp(frame, ip)?;
    let signal = signal_of(&tcp);
    let Some(service) = lookup::service(ip.destination(), tcp.destination, TCP) else {
        return answer::reset(frame, link, ip, &tcp, Counter::RefusedTcp);
    };
    match forward(frame, ip, &service, (tcp.source, tcp.destination), signal) {
        Err(reason @ (Counter::NoBackendTcp | Counter::EndpointGone)) => {
            answer::reset(frame, link, ip, &tcp, reason)
        }
        outcome => outcome,
    }
}

#[inline(always)]
fn udp(frame: &impl Frame, link: &Link, ip: &Ipv4) -> Result<Counter, Counter> {
    let udp = parse::udp(frame, ip)?;
    let Some(service) = lookup::service(ip.destination(), udp.dst, UDP) else {
        return answer::unreachable(frame, link, ip);
    };
    forward(frame, ip, &service, (udp.src, udp.dst), Signal::Datagram)
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
    ip: &Ipv4,
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
        ip.header.proto,
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
