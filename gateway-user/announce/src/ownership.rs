//! What the announcer says about each VIP: who answers, where, since when, and if nobody does here, why.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::membership::heartbeat::NodeId;

/// This node's stand on one VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The address.
    pub vip: IpAddr,
    /// The interfaces that it is answered on, by name, sorted; empty when it is withheld.
    pub interfaces: Vec<String>,
    /// When this node won the address, on the monotonic clock; none when it is withheld.
    pub since: Option<Duration>,
    /// Whether this node answers.
    pub decision: Decision,
}

/// Whether this node answers for a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It does.
    Announce,
    /// Another node does.
    Yield(NodeId),
    /// It stays silent.
    Withhold(Reason),
}

/// Why a node stays silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There are other nodes, and without a key for heartbeats nobody knows which of them answers already.
    NoMembership,
    /// Too few of the voters are heard to make an owner.
    NoMajority,
    /// No node has been made the owner yet.
    Undecided,
    /// The VIP names a pool that the configuration does not have.
    UnknownPool,
    /// No interface of the pool is up, or none has a subnet that holds the address.
    NoInterface,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMembership => {
                "there are other Node objects, and nodes do not agree on an owner without a key for their heartbeats: create the Secret sanmon-membership with the field key (at least 16 bytes)"
            }
            Self::NoMajority => {
                "fewer than half of the voting nodes are heard: check that UDP port 9191 is open between the nodes, and that all have the same key"
            }
            Self::Undecided => "the nodes have not agreed on an owner yet",
            Self::UnknownPool => "its address pool is not in the configuration",
            Self::NoInterface => {
                "no interface that is up belongs to its pool: name one in the pool's interfaces, or give one an address in the VIP's subnet"
            }
        })
    }
}
