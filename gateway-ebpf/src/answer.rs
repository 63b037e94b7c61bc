//! Answers that are made out of the packet that asked, in its place. Knows no maps.

pub(crate) mod ndp;
mod reply;
mod unreachable;

use gateway_common::announce::MacBytes;
use gateway_common::checksum::Sum;
use gateway_common::counter::Counter;
use network_types::arp::ArpHdr;

use crate::packet::{Frame, read, write};
use crate::parse::{Link, TCP, TcpFields};

pub(crate) use reply::Reply;
pub(crate) use unreachable::{Quoted, unreachable};

const TCP_LEN: usize = 20;

/// ARP: this node's Ethernet address for the VIP (RFC 826), to the one who asked. Tags stay where they are.
#[inline(always)]
pub(crate) fn arp(
    frame: &impl Frame,
    link: &Link,
    question: &ArpHdr,
    mac: MacBytes,
) -> Result<Counter, Counter> {
    let answer = ArpHdr {
        oper: [0, 2],
        sha: mac,
        spa: question.tpa,
        tha: question.sha,
        tpa: question.spa,
        ..*question
    };
    write(frame, link.length, answer)?;
    write(frame, 0, question.sha)?;
    write(frame, size_of::<MacBytes>(), mac)?;
    Ok(Counter::ArpAnswered)
}

/// ICMP echo to a VIP: it is there.
#[inline(always)]
pub(crate) fn echo<I: Reply>(frame: &impl Frame, link: &Link, ip: &I) -> Result<Counter, Counter> {
    let [request, reply] = I::ECHO;
    let kind = read::<[u8; 2]>(frame, ip.transport()).ok_or(Counter::Truncated)?;
    // Extension headers would go back as they came.
    let is_bare = ip.transport() == ip.offset() + I::LEN;
    if kind != request || !is_bare || !ip.may_answer(link) {
        return Err(Counter::IcmpOther);
    }
    let check = read::<[u8; 2]>(frame, ip.transport() + 2).ok_or(Counter::Truncated)?;
    write(frame, ip.offset(), ip.turned())?;
    write(frame, ip.transport(), reply)?;
    write(
        frame,
        ip.transport() + 2,
        Sum::new().replace(kind, reply).update(check),
    )?;
    turn_around(frame)?;
    Ok(Counter::EchoAnswered)
}

/// TCP: a reset that the sender accepts (RFC 9293 §3.10.7.1).
#[inline(always)]
pub(crate) fn reset<I: Reply>(
    frame: &impl Frame,
    link: &Link,
    ip: &I,
    tcp: &TcpFields,
    reason: Counter,
) -> Result<Counter, Counter> {
    if tcp.has(TcpFields::RST) || !ip.may_answer(link) {
        return Err(Counter::RefusedSilently);
    }
    let (sequence, acknowledgement, flags) = if tcp.has(TcpFields::ACK) {
        (tcp.acknowledgement, [0; 4], TcpFields::RST)
    } else {
        let control = u32::from(tcp.has(TcpFields::SYN)) + u32::from(tcp.has(TcpFields::FIN));
        let data = u32::from(ip.payload_len().wrapping_sub(tcp.header_len()));
        let next = u32::from_be_bytes(tcp.sequence).wrapping_add(data + control);
        ([0; 4], next.to_be_bytes(), TcpFields::RST | TcpFields::ACK)
    };
    let mut segment = TcpFields {
        source: tcp.destination,
        destination: tcp.source,
        sequence,
        acknowledgement,
        data_offset: (TCP_LEN as u8 / 4) << 4,
        flags,
        window: [0; 2],
        check: [0; 2],
        urgent: [0; 2],
    };
    segment.check = ip
        .pseudo_header(TCP, TCP_LEN as u16)
        .add(segment.source)
        .add(segment.destination)
        .add4(segment.sequence)
        .add4(segment.acknowledgement)
        .add([segment.data_offset, segment.flags])
        .finish();
    frame.resize((ip.offset() + I::LEN + TCP_LEN) as u32)?;
    write(frame, ip.offset(), ip.head(TCP, TCP_LEN as u16))?;
    write(frame, ip.offset() + I::LEN, segment)?;
    turn_around(frame)?;
    Ok(reason)
}

/// Sends the frame back to the machine that it came from.
#[inline(always)]
fn turn_around(frame: &impl Frame) -> Result<(), Counter> {
    let to = read::<MacBytes>(frame, 0).ok_or(Counter::RewriteFailed)?;
    let from = read::<MacBytes>(frame, size_of::<MacBytes>()).ok_or(Counter::RewriteFailed)?;
    write(frame, 0, from)?;
    write(frame, size_of::<MacBytes>(), to)
}
