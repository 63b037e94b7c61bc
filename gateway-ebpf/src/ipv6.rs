//! IPv6: the header and the extension headers behind it (RFC 8200). Knows no maps and writes nothing.

use gateway_common::addr::Address;
use gateway_common::checksum::Sum;
use gateway_common::counter::Counter;
use gateway_common::limits::{EXTENSIONS_BYTES_MAX, EXTENSIONS_MAX};
use network_types::ip::Ipv6Hdr;

use crate::ip::Ip;
use crate::packet::{Frame, opaque, read};
use crate::parse::ICMPV6;

/// Length of the fixed header.
pub(crate) const IPV6_LEN: usize = 40;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Length of a fragment header, and the unit of the others.
const UNIT: usize = 8;
/// More fragments, or an offset that is not zero.
const FRAGMENT_MASK: u16 = 0xfff9;

/// The IPv6 header, before anything about it is believed.
#[derive(Clone, Copy)]
pub(crate) struct Ipv6 {
    pub(crate) header: Ipv6Hdr,
    /// Where it starts.
    pub(crate) offset: usize,
    /// Where the transport header starts, once validated.
    pub(crate) transport: usize,
    /// The transport protocol, once validated.
    pub(crate) protocol: u8,
}

impl Ipv6 {
    /// Walks over the extension headers that the destination of a packet reads.
    #[inline(always)]
    fn find_transport(&mut self, frame: &impl Frame) -> Result<(), Counter> {
        let mut length = 0;
        for _extension in 0..EXTENSIONS_MAX {
            if !is_extension(self.protocol) {
                break;
            }
            // The mask repeats the check below in a form that the verifier follows.
            let place = self.offset + IPV6_LEN + (length & EXTENSIONS_BYTES_MAX);
            let [next, units, high, low] =
                read::<[u8; 4]>(frame, place).ok_or(Counter::Truncated)?;
            if self.protocol == FRAGMENT {
                // One that is alone is a whole packet (RFC 6946).
                if u16::from_be_bytes([high, low]) & FRAGMENT_MASK != 0 {
                    return Err(Counter::Fragment);
                }
                length += UNIT;
            } else {
                // `low` is the number of segments left: somebody else is to get the packet next (RFC 5095).
                if self.protocol == ROUTING && low != 0 {
                    return Err(Counter::OtherProtocol);
                }
                length += UNIT + usize::from(units) * UNIT;
            }
            if length > EXTENSIONS_BYTES_MAX {
                return Err(Counter::Extensions);
            }
            self.protocol = next;
        }
        if is_extension(self.protocol) {
            return Err(Counter::Extensions);
        }
        self.transport = self.offset + IPV6_LEN + (opaque(length) & EXTENSIONS_BYTES_MAX);
        Ok(())
    }

    /// Length of the extension headers, in bytes. Only after `validate`.
    #[inline(always)]
    pub(crate) fn extensions_len(&self) -> usize {
        self.transport - self.offset - IPV6_LEN
    }
}

impl Ip for Ipv6 {
    type Wire = [u8; 16];

    const LEN: usize = IPV6_LEN;
    const SOURCE: usize = 8;
    const DESTINATION: usize = 24;
    const CHECK: Option<usize> = None;
    const ICMP: u8 = ICMPV6;
    // RFC 4443 §2.1.
    const ICMP_ERRORS: [u8; 4] = [1, 2, 3, 4];

    #[inline(always)]
    fn read(frame: &impl Frame, offset: usize) -> Option<Self> {
        let header = read::<Ipv6Hdr>(frame, offset)?;
        Some(Self {
            header,
            offset,
            transport: offset + IPV6_LEN,
            protocol: header.next_hdr,
        })
    }

    #[inline(always)]
    fn validate(&mut self, frame: &impl Frame) -> Result<(), Counter> {
        let [version, ..] = self.header.vcf;
        let payload = u16::from_be_bytes(self.header.payload_len);
        let [first, ..] = self.header.src_addr;
        // An IPv4-mapped address on the wire would be taken for the IPv4 address (RFC 4942 §2.2).
        let is_mapped = self.source().is_v4() || self.destination().is_v4();
        if version >> 4 != 6 || first == 0xff || is_mapped {
            return Err(Counter::Malformed);
        }
        if self.offset as u32 + IPV6_LEN as u32 + u32::from(payload) > frame.len() {
            return Err(Counter::Truncated);
        }
        self.find_transport(frame)?;
        if self.extensions_len() > usize::from(payload) {
            return Err(Counter::Truncated);
        }
        Ok(())
    }

    #[inline(always)]
    fn offset(&self) -> usize {
        self.offset
    }

    #[inline(always)]
    fn transport(&self) -> usize {
        self.transport
    }

    #[inline(always)]
    fn protocol(&self) -> u8 {
        self.protocol
    }

    #[inline(always)]
    fn source(&self) -> Address {
        Address::from_v6(self.header.src_addr)
    }

    #[inline(always)]
    fn destination(&self) -> Address {
        Address::from_v6(self.header.dst_addr)
    }

    #[inline(always)]
    fn payload_len(&self) -> u16 {
        u16::from_be_bytes(self.header.payload_len).wrapping_sub(self.extensions_len() as u16)
    }

    #[inline(always)]
    fn on_wire(address: &Address) -> [u8; 16] {
        address.bytes()
    }

    #[inline(always)]
    fn difference(old: &Address, new: &Address) -> Sum {
        Sum::new().replace16(old.bytes(), new.bytes())
    }
}

/// What a transport checksum covers besides the segment (RFC 8200 §8.1).
#[inline(always)]
pub(crate) fn pseudo_header(header: &Ipv6Hdr, protocol: u8, length: u16) -> Sum {
    Sum::new()
        .add16(header.src_addr)
        .add16(header.dst_addr)
        .add(length.to_be_bytes())
        .add([0, protocol])
}

#[inline(always)]
fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS
    )
}
