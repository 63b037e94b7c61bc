//! What the other nodes run: pure. A Gateway is programmed when every node that is heard runs it.
//!
//! Nodes tell each other the hash of the configuration that they run. This node knows the hashes of what it has run
//! itself, in order, so it can tell how far another one is. Under constant change two nodes may never pass through the
//! same configuration, so nobody is waited for longer than `PATIENCE`; whoever has not moved at all for so long is a
//! laggard, named at every Gateway and not waited for until it has caught up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::{Generation, NodeName};
use gateway_translate::{
    Condition, ConditionStatus, ConditionType, ObjectKey, ObjectStatus, Statuses,
};

use super::PROMISED;

/// How long another node is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Configurations whose place in the order is remembered.
const HISTORY_MAX: usize = 1024;

/// The configuration that a node runs which is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// The node.
    pub node: NodeName,
    /// What it has said last.
    pub generation: Generation,
}

/// The other nodes, and what this one has run.
#[derive(Debug, Default)]
pub struct Fleet {
    history: VecDeque<Generation>,
    /// The place of the oldest that is remembered.
    first: u64,
    peers: BTreeMap<NodeName, Peer>,
    gateways: BTreeMap<ObjectKey, Shown>,
}

#[derive(Debug)]
struct Peer {
    generation: Generation,
    /// The place of the newest configuration that it is known to have run.
    reached: Option<u64>,
    /// Since when it says the same, while that is not the newest.
    stuck_since: Option<Duration>,
}

/// What was said of a Gateway or a ListenerSet.
#[derive(Debug, Default)]
struct Shown {
    /// What all nodes have; none: nothing yet.
    status: Option<ObjectStatus>,
    /// What they do not all have yet.
    wait: Option<Wait>,
}

#[derive(Clone, Debug)]
struct Wait {
    promise: Promise,
    /// The place from which on it is kept.
    place: u64,
    since: Duration,
}

/// What a status says that nodes do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Promise {
    generation: i64,
    addresses: BTreeSet<IpAddr>,
    /// The listeners that are programmed; the empty name: the object itself.
    programmed: BTreeSet<String>,
}

impl Fleet {
    /// Takes over what the others run: those that are heard, and that run anything yet.
    pub fn hear(&mut self, now: Duration, runs: &[Runs]) {
        let mut runs: BTreeMap<_, _> = runs.iter().map(|it| (&it.node, it.generation)).collect();
        runs.retain(|_, generation| *generation != Generation::default());
        self.peers.retain(|node, _| runs.contains_key(node));
        for (node, generation) in runs {
            let peer = self.peers.entry(node.clone()).or_insert(Peer {
                generation,
                reached: None,
                stuck_since: None,
            });
            if peer.generation != generation {
                peer.generation = generation;
                peer.stuck_since = peer.stuck_since.map(|_| now);
            }
        }
    }

    /// Holds back what not every node runs yet, and names the laggards.
    pub fn agree(&mut self, now: Duration, reached: Generation, statuses: &Statuses) -> Statuses {
        self.reach(now, reached);
        let mut gateways = std::mem::take(&mut self.gateways);
        let laggards = self.laggards(now);
        let mut kept = BTreeMap::new();
        let mut agreed = statuses.clone();
        for status in PROMISED.iter().flat_map(|kind| statuses.of_kind(*kind)) {
            let object = status.object.clone();
            let mut shown = gateways.remove(&object).unwrap_or_default();
            shown.wait = self.wait(now, status, &shown, &laggards);
            if shown.wait.is_none() {
                shown.status = Some(status.clone());
            }
            // While something is waited for, what was said before still holds.
            match &shown.status {
                Some(said) => agreed.set(Arc::new(named(said.clone(), &laggards))),
                None => agreed.remove(&object),
            }
            kept.insert(object, shown);
        }
        self.gateways = kept;
        agreed
    }

    /// What of a status is still to be waited for.
    fn wait(
        &self,
        now: Duration,
        status: &ObjectStatus,
        shown: &Shown,
        laggards: &[&NodeName],
    ) -> Option<Wait> {
        let promise = Promise::of(status);
        if promise.is_kept_by(shown.status.as_ref().map(Promise::of)) {
            return None;
        }
        let place = self.newest();
        let wait = match &shown.wait {
            Some(wait) if wait.promise == promise => wait.clone(),
            Some(Wait { since, .. }) => Wait {
                promise,
                place,
                since: *since,
            },
            None => Wait {
                promise,
                place,
                since: now,
            },
        };
        let mut others = self.peers.iter().filter(|it| !laggards.contains(&it.0));
        let is_common = others.all(|(_, peer)| peer.reached >= Some(wait.place));
        (!is_common && now < wait.since + PATIENCE).then_some(wait)
    }

    /// When there is something to look at again although nothing happens.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        let waits = self.gateways.values();
        let waits = waits.filter_map(|it| Some(it.wait.as_ref()?.since));
        let stuck = self.peers.values().filter_map(|it| it.stuck_since);
        let deadlines = waits.chain(stuck).map(|since| since + PATIENCE);
        deadlines.filter(|it| *it > now).min()
    }

    fn newest(&self) -> u64 {
        self.first + (self.history.len() as u64).saturating_sub(1)
    }

    /// Notes that this node runs a configuration, and how far the others are.
    fn reach(&mut self, now: Duration, reached: Generation) {
        if self.history.back() != Some(&reached) {
            if self.history.len() == HISTORY_MAX {
                self.history.pop_front();
                self.first += 1;
            }
            self.history.push_back(reached);
        }
        let newest = self.newest();
        for peer in self.peers.values_mut() {
            let place = self.history.iter().rposition(|it| *it == peer.generation);
            let place = place.map(|it| self.first + it as u64);
            peer.reached = peer.reached.max(place);
            peer.stuck_since = if place == Some(newest) {
                None
            } else {
                peer.stuck_since.or(Some(now))
            };
        }
    }

    fn laggards(&self, now: Duration) -> Vec<&NodeName> {
        let peers = self.peers.iter();
        peers
            .filter(|(_, it)| it.stuck_since.is_some_and(|since| since + PATIENCE <= now))
            .map(|(node, _)| node)
            .collect()
    }
}

impl Promise {
    fn of(status: &ObjectStatus) -> Self {
        let own = is_programmed(&status.conditions).then(String::new);
        let listeners = status.listeners.iter();
        let listeners = listeners.filter(|it| is_programmed(&it.conditions));
        Self {
            generation: status.generation,
            addresses: status.addresses.iter().copied().collect(),
            programmed: listeners.map(|it| it.name.clone()).chain(own).collect(),
        }
    }

    /// Whether nothing is promised beyond what was promised before.
    fn is_kept_by(&self, last: Option<Self>) -> bool {
        self.programmed.is_empty()
            || last.is_some_and(|last| {
                self.generation == last.generation
                    && self.addresses.is_subset(&last.addresses)
                    && self.programmed.is_subset(&last.programmed)
            })
    }
}

fn is_programmed(conditions: &[Condition]) -> bool {
    let mut conditions = conditions.iter();
    conditions.any(|it| it.kind == ConditionType::Programmed && it.status == ConditionStatus::True)
}

/// Names the laggards where a Gateway is said to be programmed.
fn named(mut status: ObjectStatus, laggards: &[&NodeName]) -> ObjectStatus {
    if laggards.is_empty() {
        return status;
    }
    let names: Vec<&str> = laggards.iter().map(|it| it.0.as_str()).collect();
    let text = format!("not yet on node {}", names.join(", "));
    let conditions = status.conditions.iter_mut();
    for condition in conditions.filter(|it| it.kind == ConditionType::Programmed) {
        if condition.status == ConditionStatus::True {
            let rest = std::mem::take(&mut condition.message);
            let texts = [rest, text.clone()];
            let texts: Vec<_> = texts.into_iter().filter(|it| !it.is_empty()).collect();
            condition.message = texts.join("; ");
        }
    }
    status
}

#[cfg(test)]
mod tests;
