//! Gate 1's maps: which interface has which Ethernet address, which address it may answer for until when, and who else
//! claims it.

use bytemuck::{Pod, Zeroable};

use crate::addr::Address;
use crate::limits::PORTS_MAX;

/// The low bits of an interface's index that choose its entry.
#[expect(
    clippy::cast_possible_truncation,
    reason = "asserted below to be small"
)]
const PORTS_MASK: u32 = PORTS_MAX as u32 - 1;

/// An Ethernet address.
pub type MacBytes = [u8; 6];

/// What the programs know of an attached interface.
///
/// An entry of an array that is indexed by the low bits of the interface's index: a tenth of what a hash map costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Port {
    interface: u32,
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

/// Another machine's claim to an address, as it was heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Claim {
    seen_ns: u64,
    mac: MacBytes,
    pad: [u8; 2],
}

const _: () = assert!(size_of::<Claim>() == 16 && align_of::<Claim>() == 8);
const _: () = assert!(size_of::<Port>() == 12);
const _: () = assert!(PORTS_MAX.is_power_of_two() && PORTS_MAX <= 65536);
const _: () = assert!(size_of::<AnswerKey>() == 20 && align_of::<AnswerKey>() == 4);
const _: () = assert!(size_of::<Answer>() == 16 && align_of::<Answer>() == 8);
crate::map_types!(Port, AnswerKey, Answer, Claim);

impl Port {
    /// No interface.
    pub const NONE: Self = Self::new(0, [0; 6]);

    /// Describes an interface by its index and its Ethernet address.
    pub const fn new(interface: u32, mac: MacBytes) -> Self {
        Self {
            interface,
            mac,
            pad: [0; 2],
        }
    }

    /// The entry where an interface belongs.
    #[inline(always)]
    pub const fn slot(interface: u32) -> u32 {
        interface & (PORTS_MASK)
    }

    /// The interface's index; 0: the entry is free.
    #[inline(always)]
    pub const fn interface(&self) -> u32 {
        self.interface
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

    /// The address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The interface's index.
    pub const fn interface(&self) -> u32 {
        self.interface
    }
}

impl Claim {
    /// Names the machine, and when it was heard: nanoseconds of the monotonic clock.
    pub const fn new(mac: MacBytes, seen_ns: u64) -> Self {
        Self {
            seen_ns,
            mac,
            pad: [0; 2],
        }
    }

    /// When it was heard: nanoseconds of the monotonic clock.
    pub const fn seen_ns(&self) -> u64 {
        self.seen_ns
    }

    /// The machine's Ethernet address.
    pub const fn mac(&self) -> MacBytes {
        self.mac
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
