//! UDP to a port where nobody listens: port unreachable (RFC 1122 §4.1.3.1). One answer per question.

use gateway_common::checksum::Sum;
use gateway_common::counter::Counter;

use super::reply::Reply;
use super::turn_around;
use crate::ip::Ip;
use crate::ipv4::{IPV4_LEN, Ipv4};
use crate::ipv6::{IPV6_LEN, Ipv6};
use crate::packet::{Frame, opaque, read, read_far, write};
use crate::parse::{ETHERNET_LEN, Link, TAG_LEN};

const ICMP_LEN: usize = 8;
/// RFC 792: the IP header and the first 8 bytes behind it.
const V4_QUOTED: usize = IPV4_LEN + 8;
/// RFC 4443 §2.4(c): as much as fits into the smallest MTU of IPv6.
const V6_QUOTED_MAX: usize = 1280 - IPV6_LEN - ICMP_LEN;

/// Bytes that are summed at a time.
const BLOCK: usize = 32;
const BLOCKS_MAX: usize = V6_QUOTED_MAX / BLOCK;

/// A packet that its own ICMP can quote.
pub(crate) trait Quoted: Reply {
    /// Cuts the packet to what is quoted of it; gives its length and its sum.
    fn quote(&self, frame: &impl Frame) -> Result<(u16, Sum), Counter>;
}

impl Quoted for Ipv4 {
    #[inline(always)]
    fn quote(&self, frame: &impl Frame) -> Result<(u16, Sum), Counter> {
        let quoted = read::<[u8; V4_QUOTED]>(frame, self.offset()).ok_or(Counter::Truncated)?;
        frame.resize((self.offset() + V4_QUOTED) as u32)?;
        Ok((V4_QUOTED as u16, sum_of(Sum::new(), &quoted)))
    }
}

impl Quoted for Ipv6 {
    #[inline(always)]
    fn quote(&self, frame: &impl Frame) -> Result<(u16, Sum), Counter> {
        let length = usize::from(u16::from_be_bytes(self.header.payload_len)) + IPV6_LEN;
        let length = length.min(V6_QUOTED_MAX);
        frame.resize((self.offset() + length) as u32)?;
        let sum = sum_of_part(frame, self.offset(), length).ok_or(Counter::RewriteFailed)?;
        Ok((length as u16, sum))
    }
}

/// The sum of a part of the packet. Not with the help of bytes behind it: there may be no room for any.
#[inline(always)]
fn sum_of_part(frame: &impl Frame, start: usize, length: usize) -> Option<Sum> {
    let mut sum = Sum::new();
    let blocks = length / BLOCK;
    for block in 0..BLOCKS_MAX {
        if block >= blocks {
            break;
        }
        let bytes = read_far::<[u8; BLOCK]>(frame, start + block * BLOCK)?;
        sum = sum_of(sum, &bytes);
    }
    let halves = length % BLOCK / 2;
    for half in 0..BLOCK / 2 {
        if half >= halves {
            break;
        }
        sum = sum.add(read_far(frame, start + blocks * BLOCK + half * 2)?);
    }
    if length.is_multiple_of(2) {
        return Some(sum);
    }
    // Else the place is reached from behind the check, which the verifier does not follow.
    let [_, last] = read_far::<[u8; 2]>(frame, opaque(start + length - 2))?;
    Some(sum.add([last, 0]))
}

/// Answers with the packet as its own quotation.
#[inline(always)]
pub(crate) fn unreachable<I: Quoted>(
    frame: &impl Frame,
    link: &Link,
    ip: &I,
) -> Result<Counter, Counter> {
    if !ip.may_answer(link) {
        return Err(Counter::RefusedSilently);
    }
    let (quoted, sum) = ip.quote(frame)?;
    let length = quoted + ICMP_LEN as u16;
    let [kind, code] = I::PORT_UNREACHABLE;
    let check = sum.and(ip.icmp_cover(length)).add([kind, code]).finish();
    let [high, low] = check;
    frame.make_room((I::LEN + ICMP_LEN) as u32)?;
    carry_tags(frame, ip.offset(), I::LEN + ICMP_LEN)?;
    write(frame, ip.offset(), ip.head(I::ICMP, length))?;
    write(
        frame,
        ip.offset() + I::LEN,
        [kind, code, high, low, 0, 0, 0, 0],
    )?;
    turn_around(frame)?;
    Ok(Counter::RefusedUdp)
}

/// The room is behind the Ethernet header, and tags belong in front of it.
#[inline(always)]
fn carry_tags(frame: &impl Frame, end: usize, room: usize) -> Result<(), Counter> {
    let mut network = ETHERNET_LEN;
    while network < end && network < ETHERNET_LEN + 2 * TAG_LEN {
        let tag = read::<[u8; TAG_LEN]>(frame, network + room).ok_or(Counter::RewriteFailed)?;
        write(frame, network, tag)?;
        network += TAG_LEN;
    }
    Ok(())
}

/// A sum goes on over more bytes; a number of words.
#[inline(always)]
fn sum_of<const N: usize>(sum: Sum, bytes: &[u8; N]) -> Sum {
    let (words, _none) = bytes.as_chunks::<4>();
    words.iter().fold(sum, |sum, word| sum.add4(*word))
}
