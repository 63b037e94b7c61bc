//! Machines that are none of our nodes and say that they have addresses of ours.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::{ConflictPolicy, Mac};

use super::{Announcer, Standing};
use crate::conflict::{Conflict, ForeignClaim, Usage};
use crate::membership::Membership;
use crate::membership::heartbeat::{Course, Foreign};
use crate::membership::witness::Sighting;

impl Announcer {
    /// Takes into account that other machines say they have addresses of ours.
    pub fn contest(&mut self, now: Duration, claims: &[ForeignClaim]) {
        for claim in claims {
            let key = (claim.address, claim.interface);
            let last = self.claimed.insert(key, claim.seen);
            let is_own = self.interfaces.iter().any(|it| it.mac == claim.mac);
            if is_own || last.is_some_and(|last| claim.seen <= last) {
                continue;
            }
            let Some(Standing::Held(held)) = self.standings.get_mut(&claim.address) else {
                continue;
            };
            if claim.seen < held.since() {
                continue;
            }
            let Some(membership) = &mut self.membership else {
                continue;
            };
            if membership.is_peer(claim.mac) || membership.may_be_rival(now) {
                membership.sight(now, Sighting::Owner(claim.address));
                continue;
            }
            let stays = self.named.contains(&claim.address);
            let policy = match self.rules.conflicts {
                ConflictPolicy::Reallocate if stays => ConflictPolicy::Defend,
                policy @ (ConflictPolicy::Defend
                | ConflictPolicy::Yield
                | ConflictPolicy::Reallocate) => policy,
            };
            let conflict = Conflict::new(claim.mac, claim.seen);
            held.contest(now, conflict, policy, &mut self.commands);
            if policy == ConflictPolicy::Reallocate && held.usage() != Usage::Announced {
                membership.set_aside(claim.address, claim.mac);
            }
        }
        self.settle(now);
    }

    /// The addresses that no Gateway is to have which could have another, and who has them: the same on all nodes.
    pub fn aside(&self) -> BTreeMap<IpAddr, Mac> {
        let aside = self.membership.as_ref().map(Membership::aside);
        aside.unwrap_or(&self.remembered).clone()
    }

    /// Tells the other nodes who has addresses that this one holds.
    pub(super) fn contend(&mut self, now: Duration) {
        let held = self.standings.iter().filter_map(|(vip, standing)| {
            let Standing::Held(claim) = standing else {
                return None;
            };
            let conflict = claim.conflict().filter(|it| it.is_fresh(now))?;
            Some(Foreign {
                address: *vip,
                course: match claim.usage() {
                    Usage::Announced => Course::Defended,
                    Usage::Probing { .. } | Usage::Contested { .. } => Course::Withheld,
                },
                mac: conflict.mac,
            })
        });
        let held = held.collect();
        if let Some(membership) = &mut self.membership {
            membership.contend(held);
        }
    }
}
