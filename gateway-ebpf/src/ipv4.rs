//! IPv4: the header and its options (RFC 791). Knows no maps and writes nothing.

use gateway_common::addr::Address;
use gateway_common::checksum::Sum;
use gateway_common::counter::Counter;
use network_types::ip::Ipv4Hdr;

use crate::ip::Ip;
use crate::packet::{Frame, read};
use crate::parse::ICMP;

/// Length of a header without options.
pub(crate) const IPV4_LEN: usize = 20;
/// More fragments, or an offset that is not zero.
const FRAGMENT_MASK: u16 = 0x3fff;

/// The IPv4 header, before anything about it is believed.
#[derive(Clone, Copy)]
pub(crate) struct Ipv4 {
    pub(crate) header: Ipv4Hdr,
    /// Where it starts.
    pub(crate) offset: usize,
    /// Where the transport header starts, once validated.
    pub(crate) transport: usize,
}

impl Ipv4 {
    /// Length of the header with its options, in bytes.
    #[inline(always)]
    pub(crate) fn header_len(&self) -> usize {
        usize::from(self.header.vihl & 0xf) * 4
    }
}

impl Ip for Ipv4 {
    type Wire = [u8; 4];

    const LEN: usize = IPV4_LEN;
    const SOURCE: usize = 12;
    const DESTINATION: usize = 16;
    const CHECK: Option<usize> = Some(10);
    const ICMP: u8 = ICMP;
    // RFC 792.
    const ICMP_ERRORS: [u8; 4] = [3, 4, 11, 12];

    #[inline(always)]
    fn read(frame: &impl Frame, offset: usize) -> Option<Self> {
        let header = read::<Ipv4Hdr>(frame, offset)?;
        Some(Self {
            header,
            offset,
            transport: offset + IPV4_LEN,
        })
    }

    #[inline(always)]
    fn validate(&mut self, frame: &impl Frame) -> Result<(), Counter> {
        let header_len = self.header_len();
        let total = u16::from_be_bytes(self.header.tot_len);
        if self.header.vihl >> 4 != 4 || header_len < IPV4_LEN || usize::from(total) < header_len {
            return Err(Counter::Malformed);
        }
        if self.offset as u32 + u32::from(total) > frame.len() {
            return Err(Counter::Truncated);
        }
        if u16::from_be_bytes(self.header.frags) & FRAGMENT_MASK != 0 {
            return Err(Counter::Fragment);
        }
        self.transport = self.offset + header_len;
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
        self.header.proto
    }

    #[inline(always)]
    fn source(&self) -> Address {
        Address::from_v4(self.header.src_addr)
    }

    #[inline(always)]
    fn destination(&self) -> Address {
        Address::from_v4(self.header.dst_addr)
    }

    #[inline(always)]
    fn payload_len(&self) -> u16 {
        u16::from_be_bytes(self.header.tot_len).wrapping_sub(self.header_len() as u16)
    }

    #[inline(always)]
    fn on_wire(address: &Address) -> [u8; 4] {
        address.v4()
    }

    #[inline(always)]
    fn difference(old: &Address, new: &Address) -> Sum {
        Sum::new().replace4(old.v4(), new.v4())
    }
}
