//! L4 frontends: what gate 2 does with a packet to a VIP's port.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{ListenerId, NodeName};

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// IP protocol 6.
    Tcp,
    /// IP protocol 17.
    Udp,
}

/// A frontend. A VIP's port and protocol without one is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Service {
    /// The VIP.
    pub vip: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The listener that it came from: the label of its counters.
    pub listener: ListenerId,
    /// What happens to its packets.
    pub target: ServiceTarget,
}

/// What happens to a frontend's packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ServiceTarget {
    /// Steered to endpoints, chosen by Maglev.
    Endpoints {
        /// Sorted by address; weights in one scale over all backends of the rule.
        endpoints: Vec<WeightedEndpoint>,
        /// The share that leads nowhere (invalid backends), in the same scale: TCP is reset, UDP dropped.
        refused: u32,
    },
    /// Handed to gate 3 on this node.
    Proxy,
}

/// An endpoint that exists, with its share of new flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct WeightedEndpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// The node where it runs; none: treated as on every node.
    pub node: Option<NodeName>,
    /// Share in proportion to the sum over the service. 0: it gets no new flow and keeps those that it has, because its
    /// backend has the weight 0, it is about to end, or it is not ready. An endpoint that is not listed loses its flows.
    pub weight: u32,
}
