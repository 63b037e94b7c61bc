//! What the kernel counted, in a form that metrics and `sanmon get` read.

use std::net::IpAddr;

use gateway_common::counter::Counter;
use gateway_ir::{ListenerId, Protocol};

/// The kernel's counters, summed over the CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets per reason, in the order of [`Counter`]; every packet is in exactly one.
    pub reasons: Vec<(Counter, u64)>,
    /// Packets and bytes per service, in the order of the snapshot.
    pub services: Vec<ServiceCounters>,
}

impl Counters {
    /// The packets of one reason.
    pub fn packets(&self, counter: Counter) -> u64 {
        self.reasons
            .iter()
            .find(|(reason, _packets)| *reason == counter)
            .map_or(0, |(_reason, packets)| *packets)
    }
}

/// The traffic from clients to one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCounters {
    /// The listener that it came from.
    pub listener: ListenerId,
    /// The VIP.
    pub vip: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// Packets that clients sent.
    pub packets: u64,
    /// Bytes of these, Ethernet header included.
    pub bytes: u64,
}
