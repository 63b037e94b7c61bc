//! The voter's side: to whom each address is granted, and until when.
//!
//! A grant outlasts every lease that it can have led to: it counts from the arrival of a wish, the lease from its
//! sending, and [`Terms::grant`] is longer than [`Terms::lease`] by more than two clocks may differ.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::{Asked, Granted, NodeId, Stance};
use super::terms::Terms;

/// Whether a voter may give what nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Giving {
    /// It may.
    Anew,
    /// It only renews: it may have forgotten a grant, or the former voters may still make owners.
    RenewalsOnly,
}

/// Whether something that others must know has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    Told,
}

impl From<bool> for Change {
    fn from(has_changed: bool) -> Self {
        if has_changed {
            Self::Told
        } else {
            Self::Nothing
        }
    }
}

/// The word of one voter on every address.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Grants {
    entries: BTreeMap<IpAddr, Grant>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Grant {
    holder: NodeId,
    until: Duration,
    /// Until when a former holder may still answer, which handed the address over.
    former_until: Duration,
    /// Whether the holder has asked; one that was only named by its predecessor has not.
    asked: bool,
    armed: bool,
}

/// A wish, and under which circumstances it is weighed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) from: NodeId,
    /// How long the node would answer.
    pub(super) terms: Terms,
    pub(super) asked: &'a [Asked],
    pub(super) giving: Giving,
    /// The nodes that could take an address that is handed over, and how long they would answer.
    pub(super) able: &'a BTreeMap<NodeId, Terms>,
}

impl Grants {
    /// Takes a node's wishes into account.
    pub(super) fn weigh(&mut self, now: Duration, wish: Wish<'_>) -> Change {
        let mut change = self.withdraw(now, wish);
        for asked in wish.asked {
            if self.weigh_one(now, *asked, wish) == Change::Told {
                change = Change::Told;
            }
        }
        change
    }

    /// Forgets what has run out.
    pub(super) fn expire(&mut self, now: Duration) -> Change {
        let before = self.entries.len();
        self.entries.retain(|_, grant| grant.until > now);
        Change::from(self.entries.len() != before)
    }

    /// When something runs out next.
    pub(super) fn next_wakeup(&self) -> Option<Duration> {
        self.entries.values().map(|grant| grant.until).min()
    }

    /// What the heartbeats say.
    pub(super) fn list(&self) -> Vec<Granted> {
        let told = self.entries.iter().map(|(vip, grant)| Granted {
            vip: *vip,
            holder: grant.holder,
            armed: grant.armed,
        });
        told.collect()
    }

    /// Gives a voter's own node what nobody has.
    pub(super) fn take(&mut self, vip: IpAddr, holder: NodeId, until: Duration) {
        let grant = Grant {
            holder,
            until,
            former_until: Duration::ZERO,
            asked: true,
            armed: true,
        };
        self.entries.insert(vip, grant);
    }

    /// Whose an address is.
    pub(super) fn holder(&self, vip: IpAddr) -> Option<NodeId> {
        self.entries.get(&vip).map(|grant| grant.holder)
    }

    /// Tells whether an address is a node's.
    pub(super) fn is_granted(&self, vip: IpAddr, node: NodeId) -> bool {
        self.holder(vip) == Some(node)
    }

    /// Frees what a node held and does not ask for any more: it fell silent before it said so.
    fn withdraw(&mut self, now: Duration, wish: Wish<'_>) -> Change {
        let mut change = Change::Nothing;
        self.entries.retain(|vip, grant| {
            let is_asked = wish.asked.iter().any(|it| it.vip == *vip);
            if grant.holder != wish.from || is_asked || !grant.asked {
                return true;
            }
            if grant.armed || grant.former_until <= now {
                change = Change::Told;
            }
            grant.armed = false;
            grant.until = grant.until.min(grant.former_until);
            grant.until > now
        });
        change
    }

    fn weigh_one(&mut self, now: Duration, asked: Asked, wish: Wish<'_>) -> Change {
        let until = now + wish.terms.grant();
        let armed = match asked.stance {
            Stance::Held | Stance::Released(_) => true,
            Stance::Wanted => false,
        };
        let Some(grant) = self.entries.get_mut(&asked.vip).filter(|it| it.until > now) else {
            if wish.giving == Giving::RenewalsOnly {
                return Change::Nothing;
            }
            let grant = Grant {
                holder: wish.from,
                until,
                former_until: Duration::ZERO,
                asked: true,
                armed,
            };
            self.entries.insert(asked.vip, grant);
            return Change::Told;
        };
        if grant.holder != wish.from {
            return Change::Nothing;
        }
        let successor = match asked.stance {
            Stance::Released(to) => wish.able.get(&to).map(|terms| (to, *terms)),
            Stance::Wanted | Stance::Held => None,
        };
        match successor {
            // Two hand-overs in a row would let the first holder meet the third.
            Some((to, terms)) if grant.former_until <= now => {
                *grant = Grant {
                    holder: to,
                    // The successor may have asked already, and counts from then on. What was promised on longer terms
                    // stays promised, also if it never asks.
                    until: until.max(now + terms.grant()).max(grant.until),
                    former_until: grant.until,
                    asked: false,
                    armed: false,
                };
                Change::Told
            }
            Some(_) | None => {
                let news = grant.armed != armed || !grant.asked;
                // What was promised on longer terms stays promised.
                grant.until = grant.until.max(until);
                grant.asked = true;
                grant.armed = armed;
                Change::from(news)
            }
        }
    }
}
