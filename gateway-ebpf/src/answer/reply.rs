//! The IP headers of answers, in either family.

use gateway_common::checksum::Sum;
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use crate::header::Header;
use crate::ip::Ip;
use crate::ipv4::{IPV4_LEN, Ipv4};
use crate::ipv6::{Ipv6, pseudo_header};
use crate::parse::Link;

/// Hops that an answer may take.
const HOPS: u8 = 64;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];
/// `::1` without its last byte, which makes it `::` as well.
const NO_HOST: [u8; 15] = [0; 15];

/// A packet that is answered by the address that it came to.
pub(crate) trait Reply: Ip {
    /// The header of an answer.
    type Head: Header;

    /// Type and code of an echo request, and of its reply.
    const ECHO: [[u8; 2]; 2];
    /// Type and code of the message that a port is unreachable.
    const PORT_UNREACHABLE: [u8; 2];

    /// Whether an error may be sent about it: it was for this host alone, and its sender is one host.
    fn may_answer(&self, link: &Link) -> bool;

    /// The header of an answer with a protocol and that many bytes.
    fn head(&self, protocol: u8, length: u16) -> Self::Head;

    /// The header of the same packet on its way back.
    fn turned(&self) -> Self::Head;

    /// What the transport checksum of an answer covers besides the segment.
    fn pseudo_header(&self, protocol: u8, length: u16) -> Sum;

    /// What the checksum of the family's ICMP covers besides the message.
    fn icmp_cover(&self, length: u16) -> Sum;
}

impl Reply for Ipv4 {
    type Head = Ipv4Hdr;

    // RFC 792.
    const ECHO: [[u8; 2]; 2] = [[8, 0], [0, 0]];
    const PORT_UNREACHABLE: [u8; 2] = [3, 3];

    /// RFC 1122 §3.2.2: not to a group, not to an address that names no host.
    ///
    /// Packets with IP options are not answered either: an answer that keeps a source route would serve the wrong.
    #[inline(always)]
    fn may_answer(&self, link: &Link) -> bool {
        let [first, ..] = self.header.src_addr;
        !link.is_group()
            && first != 0
            && first != 127
            && first < 224
            && self.header_len() == IPV4_LEN
            && self.header.src_addr != self.header.dst_addr
    }

    #[inline(always)]
    fn head(&self, protocol: u8, length: u16) -> Ipv4Hdr {
        let mut header = Ipv4Hdr {
            vihl: 0x45,
            tos: 0,
            tot_len: (IPV4_LEN as u16 + length).to_be_bytes(),
            id: [0; 2],
            frags: DONT_FRAGMENT,
            ttl: HOPS,
            proto: protocol,
            check: [0; 2],
            src_addr: self.header.dst_addr,
            dst_addr: self.header.src_addr,
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
    fn turned(&self) -> Ipv4Hdr {
        let protocol = self.header.proto;
        Ipv4Hdr {
            src_addr: self.header.dst_addr,
            dst_addr: self.header.src_addr,
            ttl: HOPS,
            check: Sum::new()
                .replace([self.header.ttl, protocol], [HOPS, protocol])
                .update(self.header.check),
            ..self.header
        }
    }

    #[inline(always)]
    fn pseudo_header(&self, protocol: u8, length: u16) -> Sum {
        Sum::new()
            .add4(self.header.src_addr)
            .add4(self.header.dst_addr)
            .add([0, protocol])
            .add(length.to_be_bytes())
    }

    #[inline(always)]
    fn icmp_cover(&self, _length: u16) -> Sum {
        Sum::new()
    }
}

impl Reply for Ipv6 {
    type Head = Ipv6Hdr;

    // RFC 4443 §4.
    const ECHO: [[u8; 2]; 2] = [[128, 0], [129, 0]];
    // RFC 4443 §3.1.
    const PORT_UNREACHABLE: [u8; 2] = [1, 4];

    /// RFC 4443 §2.4(e): the same. A group as source was refused before.
    #[inline(always)]
    fn may_answer(&self, link: &Link) -> bool {
        let [prefix @ .., last] = self.header.src_addr;
        let names_no_host = prefix == NO_HOST && last <= 1;
        !link.is_group() && !names_no_host && self.header.src_addr != self.header.dst_addr
    }

    #[inline(always)]
    fn head(&self, protocol: u8, length: u16) -> Ipv6Hdr {
        Ipv6Hdr {
            vcf: [0x60, 0, 0, 0],
            payload_len: length.to_be_bytes(),
            next_hdr: protocol,
            hop_limit: HOPS,
            src_addr: self.header.dst_addr,
            dst_addr: self.header.src_addr,
        }
    }

    #[inline(always)]
    fn turned(&self) -> Ipv6Hdr {
        Ipv6Hdr {
            src_addr: self.header.dst_addr,
            dst_addr: self.header.src_addr,
            hop_limit: HOPS,
            ..self.header
        }
    }

    #[inline(always)]
    fn pseudo_header(&self, protocol: u8, length: u16) -> Sum {
        pseudo_header(&self.header, protocol, length)
    }

    #[inline(always)]
    fn icmp_cover(&self, length: u16) -> Sum {
        self.pseudo_header(Self::ICMP, length)
    }
}
