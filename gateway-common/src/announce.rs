//! Gate 1's maps: which interface has which Ethernet address, and which address it may answer ARP for, until when.

use bytemuck::{Pod, Zeroable};

use crate::addr::Address;

/// An Ethernet address.
pub type MacBytes = [u8; 6];

/// What the programs know of an attached interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Port {
    mac: MacBytes,
    pad: [u8; 2],
}

/// An address on an interface, by the kernel's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
pub struct AnswerKey {
    address: Address,
    interface: u32,
}

/// The permission to answer for an address. It ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Answer {
    until_ns: u64,
    mac: MacBytes,
    pad: [u8; 2],
}

const _: () = assert!(size_of::<Port>() == 8);
const _: () = assert!(size_of::<AnswerKey>() == 20 && align_of::<AnswerKey>() == 4);
const _: () = assert!(size_of::<Answer>() == 16 && align_of::<Answer>() == 8);
crate::map_types!(Port, AnswerKey, Answer);

impl Port {
    /// Describes an interface by its Ethernet address.
    pub const fn new(mac: MacBytes) -> Self {
        Self { mac, pad: [0; 2] }
    }

    /// The Ethernet address.
    #[inline(always)]
    pub const fn mac(&self) -> MacBytes {
        self.mac
    }
}

impl AnswerKey {
    /// Names an address on an interface.
    #[inline(always)]
    pub const fn new(address: Address, interface: u32) -> Self {
        Self { address, interface }
    }

    /// The interface's index.
    pub const fn interface(&self) -> u32 {
        self.interface
    }
}

impl Answer {
    /// Permits answers with an Ethernet address until a time of the monotonic clock, in nanoseconds.
    pub const fn new(mac: MacBytes, until_ns: u64) -> Self {
        Self {
            until_ns,
            mac,
            pad: [0; 2],
        }
    }

    /// When the permission ends: nanoseconds of the monotonic clock.
    #[inline(always)]
    pub const fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// The Ethernet address to answer with.
    #[inline(always)]
    pub const fn mac(&self) -> MacBytes {
        self.mac
    }
}
