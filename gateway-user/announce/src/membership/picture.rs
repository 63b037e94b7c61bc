//! What the voters that can be heard say, put together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::heartbeat::{Granted, NodeId, Serving};

type Table = BTreeMap<IpAddr, Granted>;

/// The words of the voters, this node's own among them if it is one.
#[derive(Debug, Default)]
pub(super) struct Picture {
    tables: BTreeMap<NodeId, Table>,
    /// Sorted.
    alive: Vec<(NodeId, Serving)>,
    majority: usize,
}

impl Picture {
    pub(super) fn new(majority: usize) -> Self {
        Self {
            majority,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, voter: NodeId, table: Table, alive: &[(NodeId, Serving)]) {
        self.tables.insert(voter, table);
        // Nearly always they all hear the same nodes, of which there may be hundreds.
        if self.alive.is_empty() {
            self.alive = alive.to_vec();
        } else if self.alive != alive {
            self.alive = union(&self.alive, alive);
        }
    }

    /// Tells whether a majority of the voters is heard.
    pub(super) fn is_connected(&self) -> bool {
        self.tables.len() >= self.majority
    }

    /// The nodes that somebody hears, sorted.
    pub(super) fn alive(&self) -> &[(NodeId, Serving)] {
        &self.alive
    }

    /// How many voters have granted an address to a node.
    pub(super) fn votes(&self, vip: IpAddr, node: NodeId) -> usize {
        self.holders(vip).filter(|it| it.holder == node).count()
    }

    /// To whom one voter has granted an address.
    pub(super) fn vote_of(&self, voter: NodeId, vip: IpAddr) -> Option<NodeId> {
        Some(self.tables.get(&voter)?.get(&vip)?.holder)
    }

    /// Tells whether so many voters have not granted an address to anybody else that they could make a node its owner.
    pub(super) fn is_free_for(&self, vip: IpAddr, node: NodeId) -> bool {
        let taken = self.holders(vip).filter(|it| it.holder != node).count();
        self.tables.len() - taken >= self.majority
    }

    /// Tells whether a voter has heard a node say that it answers for an address.
    pub(super) fn is_armed(&self, vip: IpAddr, node: NodeId) -> bool {
        self.holders(vip).any(|it| it.holder == node && it.armed)
    }

    /// The node that most voters have granted an address to, and how many those are; the lower identity among equals.
    pub(super) fn leader(&self, vip: IpAddr) -> Option<(NodeId, usize)> {
        let mut votes = BTreeMap::new();
        for granted in self.holders(vip) {
            *votes.entry(granted.holder).or_insert(0) += 1;
        }
        votes
            .into_iter()
            .max_by_key(|(node, count)| (*count, std::cmp::Reverse(*node)))
    }

    /// The node that a majority has granted an address to.
    pub(super) fn owner(&self, vip: IpAddr) -> Option<NodeId> {
        self.leader(vip)
            .filter(|(_, votes)| *votes >= self.majority)
            .map(|(node, _)| node)
    }

    fn holders(&self, vip: IpAddr) -> impl Iterator<Item = &Granted> {
        self.tables
            .values()
            .filter_map(move |table| table.get(&vip))
    }
}

/// All nodes of two lists. Whoever is about to end has told that to some voters first.
fn union(one: &[(NodeId, Serving)], other: &[(NodeId, Serving)]) -> Vec<(NodeId, Serving)> {
    let mut all = BTreeMap::new();
    for (node, serving) in one.iter().chain(other) {
        let known = all.entry(*node).or_insert(*serving);
        *known = (*known).max(*serving);
    }
    all.into_iter().collect()
}
