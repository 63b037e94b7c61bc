//! What a process leaves to the next one of the same node, so that no address moves and no question stays unanswered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::Mac;
use serde::{Deserialize, Serialize};

use super::{Announcer, Standing};
use crate::command::Command;
use crate::conflict::Usage;
use crate::membership::Membership;
use crate::membership::heartbeat::NodeId;
use crate::membership::past::Past;

/// The state of an announcer that speaks no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Legacy {
    membership: Option<Past>,
    /// The VIPs that need no probe.
    known: BTreeSet<IpAddr>,
    /// What the kernel may answer for, and on which interfaces.
    answered: BTreeSet<(IpAddr, u32)>,
    /// The claims of other machines that were taken into account.
    claimed: Vec<((IpAddr, u32), Duration)>,
    /// The addresses that other machines have.
    aside: BTreeMap<IpAddr, Mac>,
}

impl Announcer {
    /// What another process of this node goes on with. This one says nothing from then on, or the other never does.
    pub fn bequeath(&self) -> Legacy {
        let claims = self.standings.iter();
        let claims = claims.filter_map(|(vip, standing)| match standing {
            Standing::Held(claim) => Some((*vip, claim)),
            Standing::Silent(_) => None,
        });
        let (mut known, mut answered) = (self.known.clone(), BTreeSet::new());
        for (vip, claim) in claims {
            answered.extend(claim.seats().map(|seat| (vip, seat)));
            // Whether the other machine still has it, the next process asks again.
            if claim.usage() != Usage::Announced {
                known.remove(&vip);
            }
        }
        Legacy {
            membership: self.membership.as_ref().map(Membership::export),
            known,
            answered,
            claimed: self.claimed.iter().map(|it| (*it.0, *it.1)).collect(),
            aside: self.aside(),
        }
    }

    /// Goes on with what a former process has left, from the next [`Self::update`] on. To be called before the first.
    pub fn inherit(&mut self, legacy: Legacy) {
        let me = NodeId::of(&self.settings.node);
        self.past = legacy.membership.filter(|it| it.node() == me);
        self.known = legacy.known;
        self.unsettled = legacy.answered;
        self.claimed = legacy.claimed.into_iter().collect();
        self.remembered = legacy.aside;
    }

    /// Takes back what a former process let the kernel answer for and this one does not hold: before the others hear that,
    /// as they may give it away at once.
    pub(super) fn silence_the_rest(&mut self) {
        for (address, interface) in std::mem::take(&mut self.unsettled) {
            let is_held = match self.standings.get(&address) {
                Some(Standing::Held(claim)) => claim.seats().any(|seat| seat == interface),
                Some(Standing::Silent(_)) | None => false,
            };
            if !is_held {
                self.commands
                    .push_back(Command::Silence { address, interface });
            }
        }
    }
}
