//! The way back: an endpoint's reply leaves as if the VIP had sent it.

use gateway_common::addr::Address;
use gateway_common::counter::Counter;
use gateway_common::flow::FlowKey;

use crate::flow::{self, Signal};
use crate::ingress::signal_of;
use crate::packet::{Frame, read};
use crate::parse::{self, IPV4_LEN, Ipv4, Payload, Segment};
use crate::rewrite::{self, End};

/// ICMP messages that quote the packet that they complain about (RFC 792).
const ICMP_ERRORS: [u8; 4] = [3, 4, 11, 12];
const ICMP_LEN: usize = 8;

/// Decides about a packet that goes out. Whatever is no reply of a flow is left alone.
#[inline(always)]
pub(crate) fn reverse(frame: &impl Frame) -> Result<Counter, Counter> {
    let link = parse::link(frame)?;
    if link.payload != Payload::Ipv4 {
        return Err(Counter::ReplyNone);
    }
    let mut ip = Ipv4::read(frame, link.length).ok_or(Counter::ReplyUnparsed)?;
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
        ip.header.proto,
    );
    let Some(vip) = flow::reply_of(&key, signal) else {
        return Err(Counter::ReplyNone);
    };
    frame.change(&rewrite::replace(&ip, End::Source, source, vip))?;
    Ok(Counter::ReplyRewritten)
}

/// Tells an ICMP error about a flow from all other ICMP.
#[inline(always)]
fn error_about(frame: &impl Frame, ip: &Ipv4) -> Counter {
    let Some([kind, _code]) = read::<[u8; 2]>(frame, ip.transport) else {
        return Counter::ReplyUnparsed;
    };
    if !ICMP_ERRORS.contains(&kind) {
        return Counter::ReplyNone;
    }
    let quoted = Ipv4::read(frame, ip.transport + ICMP_LEN);
    // The quotation is of a packet to the endpoint, without options: those are rare enough to stay uncounted.
    let ports = read::<[u8; 4]>(frame, ip.transport + ICMP_LEN + IPV4_LEN);
    let (Some(quoted), Some([a, b, c, d])) = (quoted, ports) else {
        return Counter::ReplyUnparsed;
    };
    let key = FlowKey::new(
        (Address::from_v4(quoted.header.src_addr), [a, b]),
        (Address::from_v4(quoted.header.dst_addr), [c, d]),
        quoted.header.proto,
    );
    if flow::is_known(&key) {
        Counter::ReplyIcmpError
    } else {
        Counter::ReplyNone
    }
}
