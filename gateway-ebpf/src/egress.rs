//! The way back: an endpoint's reply leaves as if the VIP had sent it.

use gateway_common::counter::Counter;
use gateway_common::flow::FlowKey;

use crate::flow::{self, Signal};
use crate::ingress::signal_of;
use crate::ip::Ip;
use crate::ipv4::Ipv4;
use crate::ipv6::Ipv6;
use crate::packet::{Frame, read};
use crate::parse::{self, Link, Payload, Segment};
use crate::rewrite::{self, End};

const ICMP_LEN: usize = 8;

/// Decides about a packet that goes out. Whatever is no reply of a flow is left alone.
#[inline(always)]
pub(crate) fn reverse(frame: &impl Frame) -> Result<Counter, Counter> {
    let link = parse::link(frame)?;
    match link.payload {
        Payload::Ipv4 => packet::<Ipv4>(frame, &link),
        Payload::Ipv6 => packet::<Ipv6>(frame, &link),
        Payload::Arp | Payload::Other => Err(Counter::ReplyNone),
    }
}

#[inline(always)]
fn packet<I: Ip>(frame: &impl Frame, link: &Link) -> Result<Counter, Counter> {
    let mut ip = I::read(frame, link.length).ok_or(Counter::ReplyUnparsed)?;
    ip.validate(frame)
        .map_err(|_reason| Counter::ReplyUnparsed)?;
    let (source, destination, signal) = match parse::segment(frame, &ip) {
        Ok(Segment::Tcp(tcp)) => (tcp.source, tcp.destination, signal_of(&tcp)),
        Ok(Segment::Udp(udp)) => (udp.src, udp.dst, Signal::Datagram),
        Ok(Segment::Icmp) => return Err(error_about(frame, &ip)),
        Err(Counter::OtherProtocol) => return Err(Counter::ReplyNone),
        Err(_cut) => return Err(Counter::ReplyUnparsed),
    };
    let key = FlowKey::new(
        (ip.destination(), destination),
        (ip.source(), source),
        ip.protocol(),
    );
    let Some(vip) = flow::reply_of(&key, signal) else {
        return Err(Counter::ReplyNone);
    };
    frame.change(&rewrite::replace(&ip, End::Source, source, vip))?;
    Ok(Counter::ReplyRewritten)
}

/// Tells an ICMP error about a flow from all other ICMP.
#[inline(always)]
fn error_about<I: Ip>(frame: &impl Frame, ip: &I) -> Counter {
    let Some([kind, _code]) = read::<[u8; 2]>(frame, ip.transport()) else {
        return Counter::ReplyUnparsed;
    };
    if !I::ICMP_ERRORS.contains(&kind) {
        return Counter::ReplyNone;
    }
    // One after the other: a register that one of two missing values left undefined was once a pointer, and the verifier
    // sees it stored ("invalid size of register spill", Linux 6.18).
    let Some(quoted) = I::read(frame, ip.transport() + ICMP_LEN) else {
        return Counter::ReplyUnparsed;
    };
    // The quotation is of a packet to the endpoint, without options: those are rare enough to stay uncounted.
    let Some([a, b, c, d]) = read::<[u8; 4]>(frame, ip.transport() + ICMP_LEN + I::LEN) else {
        return Counter::ReplyUnparsed;
    };
    let key = FlowKey::new(
        (quoted.source(), [a, b]),
        (quoted.destination(), [c, d]),
        quoted.protocol(),
    );
    if flow::is_known(&key) {
        Counter::ReplyIcmpError
    } else {
        Counter::ReplyNone
    }
}
