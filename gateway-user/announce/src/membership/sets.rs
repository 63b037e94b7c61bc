//! Who votes, and when a change of that is safe.
//!
//! Nodes learn of a new set of voters one after the other. A voter gives nothing anew before a majority of the former
//! set was heard under the new one for the length of a grant: whoever was made owner by the former set has then lost a
//! voter that the former majority needs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::{NodeId, SetId};

/// The voters of now and those before them that may still matter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sets {
    voters: BTreeSet<NodeId>,
    id: SetId,
    former: Vec<Former>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Former {
    voters: BTreeSet<NodeId>,
    moved_at: Option<Duration>,
}

impl Sets {
    /// Takes over who votes from now on.
    pub(super) fn change(&mut self, voters: BTreeSet<NodeId>) {
        if voters == self.voters {
            return;
        }
        let id = SetId::of(&voters);
        let voters = std::mem::replace(&mut self.voters, voters);
        self.id = id;
        for former in &mut self.former {
            former.moved_at = None;
        }
        // A set that comes back is not its own predecessor.
        self.former.retain(|it| it.voters != self.voters);
        if !voters.is_empty() {
            self.former.push(Former {
                voters,
                moved_at: None,
            });
        }
    }

    /// Looks who has moved: `heard` is what the others say, `nodes` are those that exist.
    pub(super) fn follow(
        &mut self,
        now: Duration,
        grant: Duration,
        heard: &BTreeMap<NodeId, SetId>,
        nodes: &BTreeSet<NodeId>,
    ) {
        for former in &mut self.former {
            // Who removed a node from the configuration says that it does not run.
            let moved = former.voters.iter().filter(|it| {
                !nodes.contains(it) || heard.get(it).is_some_and(|set| *set == self.id)
            });
            if moved.count() >= majority(former.voters.len()) {
                former.moved_at.get_or_insert(now);
            }
        }
        self.former
            .retain(|it| it.moved_at.is_none_or(|moved| now < moved + grant));
    }

    pub(super) fn is_settled(&self) -> bool {
        self.former.is_empty()
    }

    pub(super) fn id(&self) -> SetId {
        self.id
    }

    pub(super) fn voters(&self) -> &BTreeSet<NodeId> {
        &self.voters
    }

    pub(super) fn majority(&self) -> usize {
        majority(self.voters.len())
    }
}

fn majority(count: usize) -> usize {
    count / 2 + 1
}
