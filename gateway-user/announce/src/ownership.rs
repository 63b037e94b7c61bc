//! What the announcer says about each VIP: who answers, where, since when, and if nobody does here, why.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::Mac;

use crate::conflict::Conflict;
use crate::membership::Basis;
use crate::membership::heartbeat::{Foreign, NodeId};
use crate::membership::pair::Hindrance;

/// This node's stand on one VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The address.
    pub vip: IpAddr,
    /// The interfaces that it is answered on, by name, sorted; empty when it is withheld.
    pub interfaces: Vec<String>,
    /// Since when it is as it is, on the monotonic clock.
    pub since: Duration,
    /// Whether this node answers.
    pub decision: Decision,
    /// By what this node holds the address; none: it does not.
    pub basis: Option<Basis>,
    /// The last claim of a machine that is none of our nodes, while this node holds the address and it still matters.
    pub conflict: Option<Conflict>,
    /// The machine that has the address beside the node of ours that holds it, as far as that one says.
    pub foreign: Option<Foreign>,
    /// When the other one of two nodes was found to answer as well.
    pub rival: Option<Duration>,
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
    /// Only other nodes have endpoints of what the address leads to.
    NothingToServe,
    /// It is asked whether another machine has the address.
    Probing,
    /// Another machine has the address.
    InUse(Mac),
    /// This is one of two nodes, and it does not hear the other.
    Split(Hindrance),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
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
            Self::NothingToServe => {
                "this node has no endpoint of its TCPRoutes and UDPRoutes, and leaves it to those that have: wait until one of them is back, or until the endpoints are elsewhere"
            }
            Self::Probing => "it is asked on the LAN whether another machine has the address",
            Self::InUse(mac) => {
                return write!(
                    f,
                    "another machine has the address, with the MAC {mac}: take it out of the pool, or off that machine"
                );
            }
            Self::Split(hindrance) => hindrance_text(*hindrance),
        };
        f.write_str(text)
    }
}

fn hindrance_text(hindrance: Hindrance) -> &'static str {
    match hindrance {
        Hindrance::NoWitness => {
            "the other one of two nodes is not heard, and there is no witness to ask: give this node a default route, or name witnesses in the SanmonConfig"
        }
        Hindrance::WitnessesSilent => {
            "neither the other one of two nodes nor the witnesses (the router) are heard: this node may be the one that is cut off"
        }
        Hindrance::OtherAnswers => {
            "the other one of two nodes is not heard, but still answers: check that UDP port 9191 is open between the nodes, and that both have the same key"
        }
        Hindrance::Arbiter => {
            "the other one of two nodes is not heard, and has the Lease that decides between them"
        }
    }
}
