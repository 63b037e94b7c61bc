//! Flows: keys of both directions, what is remembered of each, and the hash that picks a slot.

use bytemuck::{Pod, Zeroable, must_cast};

use crate::addr::Address;
use crate::endpoint::{Endpoint, EndpointId, Place};
use crate::limits::{IDLE_JIFFIES, REFRESH_JIFFIES};

/// A 5-tuple, seen from this side: `remote` is the client.
///
/// `local` is the VIP in the tables of forward flows and the endpoint in those of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey {
    remote: Address,
    local: Address,
    remote_port: [u8; 2],
    local_port: [u8; 2],
    protocol: u8,
    pad: [u8; 3],
}

/// What is remembered of a flow from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Flow {
    seen_jiffies: u64,
    refreshed_jiffies: u64,
    generation: u32,
    endpoint: EndpointId,
    closing: u8,
    pad: u8,
}

/// What replies of an endpoint to a client must look as if they came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Reply {
    seen_jiffies: u64,
    vip: Address,
    port: [u8; 2],
    closing: u8,
    pad: [u8; 5],
}

const _: () = assert!(size_of::<FlowKey>() == 40 && align_of::<FlowKey>() == 4);
const _: () = assert!(size_of::<Flow>() == 24 && align_of::<Flow>() == 8);
const _: () = assert!(size_of::<Reply>() == 32 && align_of::<Reply>() == 8);
crate::map_types!(FlowKey, Flow, Reply);

/// Fixed for good: every machine must send a flow to the same slot.
const HASH_SEED: u64 = 0x5361_6e6d_6f6e_2121;
/// The multipliers of splitmix64's finaliser (Steele, Lea, Flood 2014).
const MIX_1: u64 = 0xbf58_476d_1ce4_e5b9;
const MIX_2: u64 = 0x94d0_49bb_1331_11eb;

impl FlowKey {
    /// Names a flow; ports in network order, the protocol by its IP number.
    #[inline(always)]
    pub const fn new(remote: (Address, [u8; 2]), local: (Address, [u8; 2]), protocol: u8) -> Self {
        let [a, b, c, d] = remote.0.in_memory();
        let [e, f, g, h] = local.0.in_memory();
        let ([i, j], [k, l]) = (remote.1, local.1);
        let ports = u32::from_ne_bytes([i, j, k, l]);
        let rest = u32::from_ne_bytes([protocol, 0, 0, 0]);
        must_cast([a, b, c, d, e, f, g, h, ports, rest])
    }

    /// The same client's flow with another local end.
    #[inline(always)]
    pub const fn with_local(&self, address: Address, port: [u8; 2]) -> Self {
        Self::new(
            (self.remote, self.remote_port),
            (address, port),
            self.protocol,
        )
    }

    /// The local address.
    #[inline(always)]
    pub const fn local(&self) -> Address {
        self.local
    }

    /// The local port, in network order.
    #[inline(always)]
    pub const fn local_port(&self) -> [u8; 2] {
        self.local_port
    }

    /// The IP protocol.
    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Spreads flows over slots: the same on every machine and in every release.
    #[inline(always)]
    pub const fn hash(&self) -> u32 {
        let [a, b, c, d, e, f, g, h, ports, protocol]: [u32; 10] = must_cast(*self);
        let mut state = HASH_SEED;
        state = mix(state, a, b);
        state = mix(state, c, d);
        state = mix(state, e, f);
        state = mix(state, g, h);
        state = mix(state, ports, protocol);
        ((state ^ (state >> 31)) >> 32) as u32
    }
}

#[inline(always)]
const fn mix(state: u64, low: u32, high: u32) -> u64 {
    let word = u32::from_le(low) as u64 | (u32::from_le(high) as u64) << 32;
    let mixed = (state ^ word).wrapping_mul(MIX_1);
    (mixed ^ (mixed >> 29)).wrapping_mul(MIX_2)
}

impl Flow {
    /// A flow to an endpoint, whose reverse entry was written now.
    #[inline(always)]
    pub const fn new(endpoint: EndpointId, generation: u32, now_jiffies: u64) -> Self {
        Self {
            seen_jiffies: now_jiffies,
            refreshed_jiffies: now_jiffies,
            generation,
            endpoint,
            closing: 0,
            pad: 0,
        }
    }

    /// The endpoint's id.
    #[inline(always)]
    pub const fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// Tells whether this entry of the endpoint table is still the one that the flow began with.
    #[inline(always)]
    pub const fn is_on(&self, endpoint: &Endpoint) -> bool {
        self.generation == endpoint.generation() && !matches!(endpoint.place(), Place::Absent)
    }

    /// Whether an end of a TCP connection was seen.
    #[inline(always)]
    pub const fn is_closing(&self) -> bool {
        self.closing != 0
    }

    /// Records that the connection ends.
    #[inline(always)]
    pub const fn close(&mut self) {
        self.closing = 1;
    }

    /// Records a packet and tells whether the reverse entry is due to be written again.
    #[inline(always)]
    pub const fn touch(&mut self, now_jiffies: u64) -> bool {
        self.seen_jiffies = now_jiffies;
        let due = now_jiffies.wrapping_sub(self.refreshed_jiffies) > REFRESH_JIFFIES;
        if due {
            self.refreshed_jiffies = now_jiffies;
        }
        due
    }
}

impl Reply {
    /// Replies of a flow that came in through a VIP's port.
    #[inline(always)]
    pub const fn new(vip: Address, port: [u8; 2], now_jiffies: u64) -> Self {
        Self {
            seen_jiffies: now_jiffies,
            vip,
            port,
            closing: 0,
            pad: [0; 5],
        }
    }

    /// The VIP.
    #[inline(always)]
    pub const fn vip(&self) -> Address {
        self.vip
    }

    /// The VIP's port, in network order.
    #[inline(always)]
    pub const fn port(&self) -> [u8; 2] {
        self.port
    }

    /// Records a packet.
    #[inline(always)]
    pub const fn touch(&mut self, now_jiffies: u64) {
        self.seen_jiffies = now_jiffies;
    }

    /// Records that the connection ends.
    #[inline(always)]
    pub const fn close(&mut self) {
        self.closing = 1;
    }

    /// Tells whether another flow may take the entry over: its own flow has ended, or nothing came for long.
    #[inline(always)]
    pub const fn is_free(&self, now_jiffies: u64) -> bool {
        self.closing != 0 || now_jiffies.wrapping_sub(self.seen_jiffies) > IDLE_JIFFIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_the_same_hash_on_every_machine_and_in_every_release() {
        let client = Address::from_v4([192, 168, 2, 7]);
        let vip = Address::from_v4([192, 168, 2, 200]);
        let v4 = FlowKey::new((client, [0x0f, 0xa0]), (vip, [0, 80]), 6);
        let client = Address::from_v6([0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 7]);
        let vip = Address::from_v6([0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc8]);
        let v6 = FlowKey::new((client, [0x0f, 0xa0]), (vip, [0, 53]), 17);

        assert_eq!([v4.hash(), v6.hash()], [0x9048_f935, 0x97f0_5d86]);
    }
}
