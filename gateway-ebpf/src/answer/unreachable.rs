//! UDP to a port where nobody listens: port unreachable (RFC 1122 §4.1.3.1). One answer per question.

use gateway_common::checksum::Sum;
use gateway_common::counter::Counter;

use super::reply::Reply;
use super::turn_around;
use crate::ip::Ip;
use crate::ipv4::{IPV4_LEN, Ipv4};
use crate::ipv6::{IPV6_LEN, Ipv6};
use crate::packet::{Frame, read, read_far, write};
use crate::parse::{ETHERNET_LEN, Link, TAG_LEN};

const ICMP_LEN: usize = 8;
/// RFC 792: the IP header and the first 8 bytes behind it.
const V4_QUOTED: usize = IPV4_LEN + 8;
/// RFC 4443 §2.4(c): as much as fits into the smallest MTU of IPv6.
const V6_QUOTED_MAX: u32 = 1280 - (IPV6_LEN + ICMP_LEN) as u32;

/// Bytes that are summed at a time.
const BLOCK: usize = 32;
const BLOCKS_MAX: usize = (V6_QUOTED_MAX as usize).div_ceil(BLOCK);

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
        let length = u32::from(u16::from_be_bytes(self.header.payload_len)) + IPV6_LEN as u32;
        let length = length.min(V6_QUOTED_MAX);
        let blocks = length.div_ceil(BLOCK as u32);
        // What pads the last block must be zero: cut first, and filled up again.
        frame.resize(self.offset() as u32 + length)?;
        frame.resize(self.offset() as u32 + blocks * BLOCK as u32)?;
        let mut sum = Sum::new();
        for block in 0..BLOCKS_MAX {
            if block as u32 >= blocks {
                break;
            }
            let bytes = read_far::<[u8; BLOCK]>(frame, self.offset() + block * BLOCK);
            sum = sum_of(sum, &bytes.ok_or(Counter::RewriteFailed)?);
        }
        frame.resize(self.offset() as u32 + length)?;
        Ok((length as u16, sum))
    }
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
