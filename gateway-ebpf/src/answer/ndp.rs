//! The neighbour advertisement that answers a solicitation (RFC 4861 §4.4), made in the solicitation's place.

use gateway_common::addr::Address;
use gateway_common::announce::MacBytes;
use gateway_common::counter::Counter;
use network_types::ip::Ipv6Hdr;

use crate::ipv6::{IPV6_LEN, pseudo_header};
use crate::packet::{Frame, write};
use crate::parse::ICMPV6;

const ADVERTISEMENT: u8 = 136;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
const HOP_LIMIT: u8 = 255;
const TARGET_LINK_ADDRESS: u8 = 2;
/// Type, code, checksum, flags, target, and one option with an Ethernet address.
const MESSAGE_LEN: usize = 32;

const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ALL_NODES_MAC: MacBytes = [0x33, 0x33, 0, 0, 0, 1];

/// What was asked.
pub(crate) struct Question {
    pub(crate) target: Address,
    /// Who asked; none: a probe, which is answered to everybody (RFC 4861 §7.2.4).
    pub(crate) asker: Option<([u8; 16], MacBytes)>,
}

/// Answers with this node's Ethernet address, from the VIP itself. Tags stay where they are.
#[inline(always)]
pub(crate) fn advertise(
    frame: &impl Frame,
    network: usize,
    question: &Question,
    mac: MacBytes,
) -> Result<Counter, Counter> {
    let (destination, to, flags) = match question.asker {
        Some((address, to)) => (address, to, SOLICITED | OVERRIDE),
        None => (ALL_NODES, ALL_NODES_MAC, OVERRIDE),
    };
    let target = question.target.bytes();
    let header = Ipv6Hdr {
        vcf: [0x60, 0, 0, 0],
        payload_len: (MESSAGE_LEN as u16).to_be_bytes(),
        next_hdr: ICMPV6,
        hop_limit: HOP_LIMIT,
        src_addr: target,
        dst_addr: destination,
    };
    let [a, b, c, d, e, f] = mac;
    let first = [ADVERTISEMENT, 0, 0, 0];
    let option = [TARGET_LINK_ADDRESS, 1, a, b, c, d, e, f];
    let [o, p, q, r, s, t, u, v] = option;
    let check = pseudo_header(&header, ICMPV6, MESSAGE_LEN as u16)
        .add4(first)
        .add4([flags, 0, 0, 0])
        .add16(target)
        .add4([o, p, q, r])
        .add4([s, t, u, v])
        .finish();
    frame.resize((network + IPV6_LEN + MESSAGE_LEN) as u32)?;
    write(frame, network, header)?;
    let message = network + IPV6_LEN;
    write(frame, message, [ADVERTISEMENT, 0])?;
    write(frame, message + 2, check)?;
    write(frame, message + 4, [flags, 0, 0, 0])?;
    write(frame, message + 8, target)?;
    write(frame, message + 24, option)?;
    write(frame, 0, to)?;
    write(frame, size_of::<MacBytes>(), mac)?;
    Ok(Counter::NdpAnswered)
}
