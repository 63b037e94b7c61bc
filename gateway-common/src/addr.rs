//! IP addresses as the maps hold them: 16 bytes, IPv4 as an IPv4-mapped address (RFC 4291 §2.5.5.2).

use bytemuck::{Pod, Zeroable};

/// An address of either family.
///
/// Aligned to 4 so that programs copy it by words: the BPF back end splits unaligned copies into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(C, align(4))]
pub struct Address {
    bytes: [u8; 16],
}

const _: () = assert!(size_of::<Address>() == 16 && align_of::<Address>() == 4);
crate::map_types!(Address);

impl Address {
    /// Length in bits of the prefix that all IPv4-mapped addresses share.
    pub const V4_PREFIX_BITS: u32 = 96;

    /// Makes the mapped form of an IPv4 address.
    #[inline(always)]
    pub const fn from_v4(v4: [u8; 4]) -> Self {
        let [a, b, c, d] = v4;
        Self {
            bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d],
        }
    }

    /// Takes an IPv6 address.
    #[inline(always)]
    pub const fn from_v6(bytes: [u8; 16]) -> Self {
        Self { bytes }
    }

    /// The IPv4 address that it maps; meaningless for others.
    #[inline(always)]
    pub const fn v4(&self) -> [u8; 4] {
        let [.., a, b, c, d] = self.bytes;
        [a, b, c, d]
    }

    /// Whether it is the mapped form of an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        let [a, b, c, _] = self.words();
        a == 0 && b == 0 && c == u32::from_le_bytes([0, 0, 0xff, 0xff])
    }

    /// All 16 bytes in network order.
    #[inline(always)]
    pub const fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// The address in four words, the same on machines of either byte order.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.bytes;
        [
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
            u32::from_le_bytes([i, j, k, l]),
            u32::from_le_bytes([m, n, o, p]),
        ]
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            core::net::IpAddr::V6(v6) => Self::from_v6(v6.octets()),
        }
    }
}

impl From<Address> for core::net::IpAddr {
    fn from(address: Address) -> Self {
        core::net::Ipv6Addr::from(address.bytes).to_canonical()
    }
}
