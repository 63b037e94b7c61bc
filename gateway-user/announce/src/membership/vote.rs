//! What this node gives as a voter, and what it gets from the others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Membership;
use super::grants::{Change, Giving, Wish};
use super::heartbeat::{Asked, Heartbeat, NodeId, Serving, Stance};
use super::peers::Beat;
use super::terms::Terms;

impl Membership {
    /// Counts a voter's grants. A voter that restarts waits for as long as its own terms say, so nobody may count on it
    /// for longer.
    pub(super) fn count(&mut self, heartbeat: &Heartbeat, accepted: u64, beat: Beat) {
        let until = beat.sent + beat.lease.min(heartbeat.terms.lease);
        for granted in &heartbeat.granted {
            if granted.holder != self.identity.node {
                continue;
            }
            if let Some(candidate) = self.candidates.get_mut(&granted.vip) {
                candidate.grant(heartbeat.from, accepted, until);
            }
        }
    }

    /// Weighs a node's wishes as a voter.
    pub(super) fn weigh(&mut self, now: Duration, from: NodeId, terms: Terms, asked: &[Asked]) {
        let is_sure = now >= self.mute_until && self.sets.is_settled();
        // Who is alone has granted nothing to others.
        let giving = if is_sure || self.is_alone() {
            Giving::Anew
        } else {
            Giving::RenewalsOnly
        };
        let able = self.able(now, asked);
        let wish = Wish {
            from,
            terms,
            asked,
            giving,
            able: &able,
        };
        if self.grants.weigh(now, wish) == Change::Told {
            self.eager = true;
        }
    }

    /// The nodes that could take what others hand over, of those that are named, and how long they would answer.
    fn able(&self, now: Duration, asked: &[Asked]) -> BTreeMap<NodeId, Terms> {
        let patience = self.scene.terms.grant();
        let mut able = BTreeMap::new();
        for it in asked {
            let Stance::Released(to) = it.stance else {
                continue;
            };
            let peer = self.peers.get(&to).filter(|it| it.is_fresh(now, patience));
            let known = peer.map(|it| (it.serving, it.terms));
            let own = (to == self.identity.node).then_some((self.scene.serving, self.scene.terms));
            if let Some((Serving::Everything, terms)) = known.or(own) {
                able.insert(to, terms);
            }
        }
        able
    }

    /// The nodes that this one hears, itself among them, sorted.
    pub(super) fn alive(&self, now: Duration) -> Vec<(NodeId, Serving)> {
        let patience = self.scene.terms.grant();
        let peers = self.peers.iter();
        let mut alive: Vec<_> = peers
            .filter(|(_, peer)| peer.is_fresh(now, patience))
            .map(|(node, peer)| (*node, peer.serving))
            .chain([(self.identity.node, self.scene.serving)])
            .collect();
        alive.sort_unstable();
        alive
    }
}
