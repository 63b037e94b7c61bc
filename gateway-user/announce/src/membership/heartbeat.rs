//! What nodes say to each other, as values. Knows no bytes and no clock.

use std::net::IpAddr;

use gateway_ir::{Mac, NodeName};
use serde::{Deserialize, Serialize};

use super::terms::Terms;

/// A node as heartbeats name it: a hash of its name, the same on every node and in every release.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The identity of a node's name.
    pub fn of(name: &NodeName) -> Self {
        Self(fnv(name.0.as_bytes()))
    }
}

/// The identity of a voter set.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SetId(pub u64);

impl SetId {
    /// The identity of these voters, whatever their order in the configuration was.
    pub(crate) fn of<'a>(sorted: impl IntoIterator<Item = &'a NodeId>) -> Self {
        let bytes: Vec<u8> = sorted
            .into_iter()
            .flat_map(|it| it.0.to_be_bytes())
            .collect();
        Self(fnv(&bytes))
    }
}

/// FNV-1a with 64 bits: it is on the wire, so it may never change. It keeps nobody out, the key does that.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// One node's word to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who speaks.
    pub from: NodeId,
    /// Who is meant.
    pub to: NodeId,
    /// The life of the speaker's process; a later one is greater.
    pub incarnation: u64,
    /// Counts the speaker's heartbeats in this life, from 1.
    pub sequence: u64,
    /// The lengths that the speaker lives by.
    pub terms: Terms,
    /// The voters that the speaker knows.
    pub voters: SetId,
    /// The configuration that the speaker runs.
    pub generation: u64,
    /// Whether the speaker can answer for addresses.
    pub serving: Serving,
    /// What the speaker has from the one who is meant; none: nothing yet.
    pub echo: Option<Echo>,
    /// The addresses that the speaker holds or wants, sorted.
    pub asked: Vec<Asked>,
    /// The grants of a speaker who is a voter, sorted by address.
    pub granted: Vec<Granted>,
    /// The nodes that a speaker who is a voter hears, itself among them, sorted; empty: as it said before.
    pub alive: Vec<(NodeId, Serving)>,
    /// The Ethernet addresses that the speaker answers with; empty: it does not say, as the release before did not.
    pub macs: Vec<Mac>,
    /// Other machines that have addresses of ours, as far as the speaker knows, sorted.
    pub foreign: Vec<Foreign>,
}

/// What a node has received from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The life of the other.
    pub incarnation: u64,
    /// The newest heartbeat that was heard.
    pub sequence: u64,
    /// The newest one whose wishes were taken into account; 0: none.
    pub accepted: u64,
}

/// Whether a node can answer for addresses.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Serving {
    /// For every VIP that there is.
    #[default]
    Everything,
    /// For some of them only.
    Part,
    /// It should not, and does so only where nobody else can.
    Reserve,
    /// It does not: it has no interface for any of them, or the process is ending.
    Nothing,
}

/// An address that a node holds or wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The VIP.
    pub vip: IpAddr,
    /// How the node stands to it.
    pub stance: Stance,
}

/// How a node stands to an address that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// It wants it and is silent.
    Wanted,
    /// It answers for it.
    Held,
    /// It answers for it until the named node does.
    Released(NodeId),
}

/// An address that a voter has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The VIP.
    pub vip: IpAddr,
    /// To whom.
    pub holder: NodeId,
    /// Whether the holder has said that it answers.
    pub armed: bool,
}

/// A machine that is none of our nodes and has an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Foreign {
    /// The address.
    pub address: IpAddr,
    /// What becomes of it.
    pub course: Course,
    /// The Ethernet address of that machine.
    pub mac: Mac,
}

/// What becomes of an address that another machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Course {
    /// The speaker holds it and answers for it.
    Defended,
    /// The speaker holds it and is silent.
    Withheld,
    /// No Gateway is to have it that could have another.
    SetAside,
}
