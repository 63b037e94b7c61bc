//! The frontends: what happens to packets to a VIP's port.

use bytemuck::{Pod, Zeroable, must_cast};

use crate::addr::Address;
use crate::limits::SLOTS_PER_CHUNK;

/// A VIP's port and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
pub struct ServiceKey {
    vip: Address,
    port: [u8; 2],
    protocol: u8,
    pad: u8,
}

/// What happens to a frontend's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Service {
    id: u32,
    slots: u32,
}

/// A part of a Maglev table. A table is an array of these, so that one write fills many slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Chunk {
    /// Endpoint ids; [`crate::endpoint::REFUSED`] where there is none.
    pub slots: [u16; SLOTS_PER_CHUNK],
}

/// The traffic from clients to one service, per CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes, Ethernet header included.
    pub bytes: u64,
}

const _: () = assert!(size_of::<ServiceKey>() == 20 && align_of::<ServiceKey>() == 4);
const _: () = assert!(size_of::<Service>() == 8);
const _: () = assert!(size_of::<Chunk>() == 2 * SLOTS_PER_CHUNK);
const _: () = assert!(size_of::<Traffic>() == 16);
crate::map_types!(ServiceKey, Service, Chunk, Traffic);

impl ServiceKey {
    /// Names a frontend; the port in network order, the protocol by its IP number.
    #[inline(always)]
    pub const fn new(vip: Address, port: [u8; 2], protocol: u8) -> Self {
        let [a, b, c, d] = vip.in_memory();
        let [high, low] = port;
        must_cast([a, b, c, d, u32::from_ne_bytes([high, low, protocol, 0])])
    }
}

impl Service {
    /// A service that gate 3 terminates.
    pub const fn proxied(id: u32) -> Self {
        Self { id, slots: 0 }
    }

    /// A service whose table has that many slots.
    pub const fn steered(id: u32, slots: u32) -> Self {
        Self { id, slots }
    }

    /// The index of its table and of its traffic counters.
    #[inline(always)]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The number of slots of its table; 0: it has none.
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// Whether gate 3 terminates it.
    #[inline(always)]
    pub const fn is_proxied(&self) -> bool {
        self.slots == 0
    }

    /// The slot of a flow's hash. A multiplication maps the hash onto the slots as evenly as a remainder would,
    /// without the division.
    #[inline(always)]
    pub const fn slot(&self, hash: u32) -> u32 {
        ((hash as u64 * self.slots as u64) >> 32) as u32
    }
}
