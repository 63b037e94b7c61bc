//! Who should ask for an address first. Only a matter of order: it makes fail-over quick and loads even, and whatever it
//! says, only grants make an owner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Scene;
use super::heartbeat::{NodeId, Serving, fnv};

/// The nodes that ask for an address each in a turn of its own.
const ALONE_MAX: usize = 8;

/// Whose an address is, as far as the voters say that are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody's that lives.
    Free,
    /// Some have granted it to this node.
    Sought(NodeId),
    /// A majority has granted it to this node.
    Owned(NodeId),
}

/// The nodes and addresses as they are known, and what follows for the free ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    favoured: BTreeMap<IpAddr, BTreeSet<NodeId>>,
    barred: BTreeMap<IpAddr, BTreeSet<NodeId>>,
    candidates: Vec<(NodeId, Serving)>,
    loads: BTreeMap<NodeId, usize>,
    /// Addresses per node, if all had the same, rounded up.
    even_load: usize,
    /// The addresses without an owner, each with the nodes in the order in which they should ask.
    orders: BTreeMap<IpAddr, Vec<NodeId>>,
}

impl Plan {
    /// Makes the plan; every node that knows the same makes the same.
    pub(super) fn new(
        alive: &[(NodeId, Serving)],
        standings: &BTreeMap<IpAddr, Standing>,
        scene: &Scene,
    ) -> Self {
        let able = |serving| alive.iter().filter(move |it| it.1 == serving);
        let mut plan = Self {
            favoured: scene.favoured.clone(),
            barred: scene.barred.clone(),
            candidates: alive
                .iter()
                .copied()
                .filter(|(_, serving)| *serving != Serving::Nothing)
                .collect(),
            even_load: standings
                .len()
                .div_ceil(able(Serving::Everything).count().max(1)),
            ..Self::default()
        };
        for standing in standings.values() {
            match standing {
                Standing::Free => {}
                Standing::Sought(node) | Standing::Owned(node) => plan.assign(*node),
            }
        }
        for (vip, standing) in standings {
            let order = match standing {
                Standing::Owned(_) => continue,
                Standing::Sought(node) => {
                    let mut order = plan.order(*vip);
                    order.retain(|it| it != node);
                    order.insert(0, *node);
                    order
                }
                Standing::Free => {
                    let order = plan.order(*vip);
                    order.first().into_iter().for_each(|it| plan.assign(*it));
                    order
                }
            };
            plan.orders.insert(*vip, order);
        }
        plan
    }

    /// In which turn a node asks for a free address; after all others if it is not a candidate.
    pub(super) fn turn(&self, vip: IpAddr, node: NodeId) -> u32 {
        let order = self.orders.get(&vip).map(Vec::as_slice).unwrap_or_default();
        let place = order.iter().position(|it| *it == node);
        turn(place.unwrap_or(order.len()))
    }

    /// Whether a node that holds or asks for so many addresses already should leave one to others: as good ones hold less,
    /// of those that surely can have it.
    pub(super) fn is_for_others(&self, vip: IpAddr, node: NodeId, load: usize) -> bool {
        let load_max = self.load_max();
        let own = self.candidates.iter().find(|it| it.0 == node);
        let Some(own) = own.filter(|_| load >= load_max) else {
            return false;
        };
        let own = self.class(vip, *own);
        let mut others = self.candidates.iter().filter(|(other, serving)| {
            *other != node && *serving == Serving::Everything && self.may_ask(vip, *other)
        });
        others.any(|it| self.class(vip, *it) <= own && self.load(it.0) < load_max)
    }

    /// The most addresses that a node should hold.
    pub(super) fn load_max(&self) -> usize {
        self.even_load() + 1
    }

    /// The node that should take over an address that another gives up.
    pub(super) fn successor(&self, vip: IpAddr, not: &[NodeId], load_max: usize) -> Option<NodeId> {
        let mut order = self.order(vip).into_iter();
        order.find(|node| {
            let serves_all = self.candidates.contains(&(*node, Serving::Everything));
            serves_all && !not.contains(node) && self.load(*node) < load_max
        })
    }

    /// Notes that a node gets one more.
    pub(super) fn assign(&mut self, node: NodeId) {
        *self.loads.entry(node).or_default() += 1;
    }

    /// Addresses per node, if all had the same, rounded up.
    pub(super) fn even_load(&self) -> usize {
        self.even_load
    }

    /// Tells whether no node serves more of what an address leads to.
    pub(super) fn is_favoured(&self, vip: IpAddr, node: NodeId) -> bool {
        let favoured = self.favoured.get(&vip);
        favoured.is_none_or(|it| it.contains(&node))
    }

    /// Tells whether a node should have an address at all.
    pub(super) fn may_ask(&self, vip: IpAddr, node: NodeId) -> bool {
        let barred = self.barred.get(&vip);
        barred.is_none_or(|it| !it.contains(&node))
    }

    /// How good a node is for an address, whatever it holds: the lowest is the best.
    fn class(&self, vip: IpAddr, (node, serving): (NodeId, Serving)) -> (bool, bool) {
        (serving == Serving::Reserve, !self.is_favoured(vip, node))
    }

    fn load(&self, node: NodeId) -> usize {
        self.loads.get(&node).copied().unwrap_or_default()
    }

    fn order(&self, vip: IpAddr) -> Vec<NodeId> {
        let able = self.candidates.iter();
        let able = able.filter(|(node, _)| self.may_ask(vip, *node));
        let mut keyed: Vec<_> = able
            .map(|(node, serving)| {
                let full = self.load(*node) >= self.load_max();
                let score = std::cmp::Reverse(score(vip, *node));
                (self.class(vip, (*node, *serving)), full, score, *node)
            })
            .collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(.., node)| node).collect()
    }
}

/// The turn of a place in the order. The first have one each, those after them share them, twice as many each time: where
/// many nodes have no interface for an address, which others do not know, the first that has one is not far.
fn turn(place: usize) -> u32 {
    let doubled = place / ALONE_MAX;
    let shared = doubled.checked_ilog2().map_or(0, |it| it + 1);
    let own = if doubled == 0 { place } else { ALONE_MAX - 1 };
    u32::try_from(own).unwrap_or(u32::MAX) + shared
}

/// Rendezvous hashing: the node with the highest score is the address's first choice.
pub(super) fn score(vip: IpAddr, node: NodeId) -> u64 {
    let address = match vip {
        IpAddr::V4(address) => fnv(&address.octets()),
        IpAddr::V6(address) => fnv(&address.octets()),
    };
    // The finish of SplitMix64: FNV alone leaves the high bits of similar names similar.
    let mut bits = address ^ node.0.rotate_left(32);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_turns_are_shared_by_twice_as_many_nodes_each_time() {
        let turns: Vec<u32> = [0, 1, 7, 8, 15, 16, 31, 32, 499].map(turn).into();
        assert_eq!(turns, [0, 1, 7, 8, 8, 9, 9, 10, 13]);
    }
}
