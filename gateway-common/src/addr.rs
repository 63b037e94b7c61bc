//! IP addresses as the maps hold them: 16 bytes, IPv4 as an IPv4-mapped address (RFC 4291 §2.5.5.2).

use bytemuck::{Pod, Zeroable, must_cast};

/// An address of either family.
///
/// Aligned to 4 and built out of words, so that programs copy it by words: the BPF back end splits what it does not know
/// to be aligned into bytes.
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

    /// The last word of that prefix, as it is in memory.
    const V4_WORD: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

    /// Makes the mapped form of an IPv4 address.
    #[inline(always)]
    pub const fn from_v4(v4: [u8; 4]) -> Self {
        must_cast([0, 0, Self::V4_WORD, u32::from_ne_bytes(v4)])
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
        let [a, b, c, _] = self.in_memory();
        a == 0 && b == 0 && c == Self::V4_WORD
    }

    /// All 16 bytes in network order.
    #[inline(always)]
    pub const fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// The address in four words, the same on machines of either byte order.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        let [a, b, c, d] = self.in_memory();
        [
            u32::from_le(a),
            u32::from_le(b),
            u32::from_le(c),
            u32::from_le(d),
        ]
    }

    /// The address in four words, as they are in memory.
    #[inline(always)]
    pub(crate) const fn in_memory(&self) -> [u32; 4] {
        must_cast(*self)
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
