//! The state of a membership, for the next process of the same node to go on with.
//!
//! It travels whole: to the other nodes it is one life that paused for a moment, as every process may, and whatever holds of
//! a process that was frozen and goes on holds of the two. What one of two nodes has seen of the witnesses is left out:
//! without it an address is silent sooner, never answered for longer.
//!
//! Who exports a state must not speak after that, or the one who gets it must not.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use super::grants::Grants;
use super::heartbeat::{NodeId, Serving};
use super::peers::{Peer, Sent};
use super::sets::Sets;
use super::{Identity, Membership, Scene};

/// The format of [`Past`]. Another number for every change of what its fields, and theirs, are or mean.
pub const FORMAT: u32 = 1;

/// What a membership knows, has promised and was promised, at one moment of the monotonic clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Past {
    node: NodeId,
    incarnation: u64,
    sets: Sets,
    started: Duration,
    mute_until: Duration,
    grants: Grants,
    peers: BTreeMap<NodeId, Peer>,
    sent: Sent,
    sequence: u64,
    last_beat: Option<Duration>,
    listed: (Vec<(NodeId, Serving)>, u64),
    candidates: BTreeMap<IpAddr, Candidate>,
    calm_since: Duration,
    next_move: Duration,
    rivals: BTreeMap<IpAddr, Duration>,
}

impl Past {
    /// Whose it is.
    pub fn node(&self) -> NodeId {
        self.node
    }
}

impl Membership {
    /// The state, as it is now.
    pub fn export(&self) -> Past {
        Past {
            node: self.identity.node,
            incarnation: self.identity.incarnation,
            sets: self.sets.clone(),
            started: self.started,
            mute_until: self.mute_until,
            grants: self.grants.clone(),
            peers: self.peers.clone(),
            sent: self.sent.clone(),
            sequence: self.sequence,
            last_beat: self.last_beat,
            listed: self.listed.clone(),
            candidates: self.candidates.clone(),
            calm_since: self.calm_since,
            next_move: self.next_move,
            rivals: self.rivals.clone(),
        }
    }

    /// Goes on with the state of a process that speaks no more.
    pub fn resume(now: Duration, past: Past, scene: Scene) -> Self {
        let identity = Identity {
            node: past.node,
            incarnation: past.incarnation,
        };
        let mut membership = Self {
            sets: past.sets,
            started: past.started,
            mute_until: past.mute_until,
            grants: past.grants,
            peers: past.peers,
            sent: past.sent,
            sequence: past.sequence,
            last_beat: past.last_beat,
            listed: past.listed,
            candidates: past.candidates,
            calm_since: past.calm_since,
            next_move: past.next_move,
            rivals: past.rivals,
            ..Self::blank(now, identity)
        };
        membership.update(now, scene);
        membership
    }
}
