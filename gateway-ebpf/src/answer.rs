//! Answers that are made out of the packet that asked, in its place. Knows no maps.

pub(crate) mod ndp;

use gateway_common::announce::MacBytes;
use gateway_common::checksum::Sum;
use gateway_common::counter::Counter;
use network_types::arp::ArpHdr;
use network_types::ip::Ipv4Hdr;

use crate::change::ICMP_ROOM;
use crate::packet::{Frame, read, write};
use crate::parse::{ETHERNET_LEN, ICMP, IPV4_LEN, Ipv4, Link, TAG_LEN, TCP, TcpFields};

const TTL: u8 = 64;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];
const TCP_LEN: usize = 20;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
/// RFC 792: the IP header and the first 8 bytes behind it.
const QUOTED: usize = IPV4_LEN + 8;

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
pub(crate) fn echo(frame: &impl Frame, link: &Link, ip: &Ipv4) -> Result<Counter, Counter> {
    let kind = read::<[u8; 2]>(frame, ip.transport).ok_or(Counter::Truncated)?;
    if kind != [ECHO_REQUEST, 0] || !may_answer(link, ip) {
        return Err(Counter::IcmpOther);
    }
    let check = read::<[u8; 2]>(frame, ip.transport + 2).ok_or(Counter::Truncated)?;
    let reply = [ECHO_REPLY, 0];
    let header = Ipv4Hdr {
        src_addr: ip.header.dst_addr,
        dst_addr: ip.header.src_addr,
        ttl: TTL,
        check: Sum::new()
            .replace([ip.header.ttl, ICMP], [TTL, ICMP])
            .update(ip.header.check),
        ..ip.header
    };
    write(frame, ip.offset, header)?;
    write(frame, ip.transport, reply)?;
    write(
        frame,
        ip.transport + 2,
        Sum::new().replace(kind, reply).update(check),
    )?;
    turn_around(frame)?;
    Ok(Counter::EchoAnswered)
}

/// TCP: a reset that the sender accepts (RFC 9293 §3.10.7.1).
#[inline(always)]
pub(crate) fn reset(
    frame: &impl Frame,
    link: &Link,
    ip: &Ipv4,
    tcp: &TcpFields,
    reason: Counter,
) -> Result<Counter, Counter> {
    if tcp.has(TcpFields::RST) || !may_answer(link, ip) {
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
    let header = ipv4(ip, TCP, (IPV4_LEN + TCP_LEN) as u16);
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
    segment.check = Sum::new()
        .add4(header.src_addr)
        .add4(header.dst_addr)
        .add([0, TCP])
        .add((TCP_LEN as u16).to_be_bytes())
        .add(segment.source)
        .add(segment.destination)
        .add4(segment.sequence)
        .add4(segment.acknowledgement)
        .add([segment.data_offset, segment.flags])
        .finish();
    frame.resize((ip.offset + IPV4_LEN + TCP_LEN) as u32)?;
    write(frame, ip.offset, header)?;
    write(frame, ip.offset + IPV4_LEN, segment)?;
    turn_around(frame)?;
    Ok(reason)
}

/// UDP: port unreachable (RFC 1122 §4.1.3.1). One answer per question, never larger than 28 bytes more.
#[inline(always)]
pub(crate) fn unreachable(frame: &impl Frame, link: &Link, ip: &Ipv4) -> Result<Counter, Counter> {
    if !may_answer(link, ip) {
        return Err(Counter::RefusedSilently);
    }
    let quoted = read::<[u8; QUOTED]>(frame, ip.offset).ok_or(Counter::Truncated)?;
    let mut icmp = [3, 3, 0, 0, 0, 0, 0, 0];
    let check = sum_of(&quoted).add([3, 3]).finish();
    icmp[2] = check[0];
    icmp[3] = check[1];
    let header = ipv4(ip, ICMP, (ICMP_ROOM + QUOTED) as u16);
    frame.resize((ip.offset + QUOTED) as u32)?;
    frame.make_room()?;
    // The room is behind the Ethernet header, and tags belong in front of it.
    let mut network = ETHERNET_LEN;
    while network < ip.offset && network < ETHERNET_LEN + 2 * TAG_LEN {
        let tag =
            read::<[u8; TAG_LEN]>(frame, network + ICMP_ROOM).ok_or(Counter::RewriteFailed)?;
        write(frame, network, tag)?;
        network += TAG_LEN;
    }
    write(frame, ip.offset, header)?;
    write(frame, ip.offset + IPV4_LEN, icmp)?;
    turn_around(frame)?;
    Ok(Counter::RefusedUdp)
}

/// Whether an error may be sent about a packet (RFC 1122 §3.2.2): not to a group, not to an address that names no host.
///
/// Packets with IP options are not answered either: an answer that keeps a source route would serve the wrong.
#[inline(always)]
fn may_answer(link: &Link, ip: &Ipv4) -> bool {
    let [first, ..] = ip.header.src_addr;
    !link.is_group()
        && first != 0
        && first != 127
        && first < 224
        && ip.header_len() == IPV4_LEN
        && ip.header.src_addr != ip.header.dst_addr
}

/// The header of an answer.
#[inline(always)]
fn ipv4(question: &Ipv4, protocol: u8, total: u16) -> Ipv4Hdr {
    let mut header = Ipv4Hdr {
        vihl: 0x45,
        tos: 0,
        tot_len: total.to_be_bytes(),
        id: [0; 2],
        frags: DONT_FRAGMENT,
        ttl: TTL,
        proto: protocol,
        check: [0; 2],
        src_addr: question.header.dst_addr,
        dst_addr: question.header.src_addr,
    };
    header.check = Sum::new()
        .add([header.vihl, header.tos])
        .add(header.tot_len)
        .add(header.frags)
        .add([header.ttl, header.proto])
        .add4(header.src_addr)
        .add4(header.dst_addr)
        .finish();
    header
}

#[inline(always)]
fn sum_of(bytes: &[u8; QUOTED]) -> Sum {
    let (words, _none) = bytes.as_chunks::<4>();
    words.iter().fold(Sum::new(), |sum, word| sum.add4(*word))
}

/// Sends the frame back to the machine that it came from.
#[inline(always)]
fn turn_around(frame: &impl Frame) -> Result<(), Counter> {
    let to = read::<MacBytes>(frame, 0).ok_or(Counter::RewriteFailed)?;
    let from = read::<MacBytes>(frame, size_of::<MacBytes>()).ok_or(Counter::RewriteFailed)?;
    write(frame, 0, from)?;
    write(frame, size_of::<MacBytes>(), to)
}
