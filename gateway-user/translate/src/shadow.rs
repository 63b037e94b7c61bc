//! Matches that no request can reach: an earlier one of the same host has the same conditions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use gateway_ir::{Entry, HostPattern, ListenerId, Match, ObjectName, RuleId};
use serde::Serialize;

use crate::status::{Kind, ObjectKey};

/// Something that is as configured, and hardly as meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// The object that it is about.
    #[serde(flatten)]
    pub object: ObjectKey,
    /// What it is, in a sentence.
    pub message: String,
}

/// A match that is never reached, and the one that is reached instead.
type Shadow = (Arc<Entry>, Arc<Entry>);

/// The matches of all hosts, by their conditions.
#[derive(Debug, Default)]
pub(crate) struct Shadows {
    /// By the hash of host and conditions: most hosts have few matches, and there may be thousands of hosts.
    entries: HashMap<u64, Vec<Arc<Entry>>>,
    /// The hashes that several entries have, of the hosts that have such.
    contested: BTreeMap<(ListenerId, HostPattern), BTreeSet<u64>>,
    /// Of the hosts that have some.
    found: BTreeMap<(ListenerId, HostPattern), Vec<Shadow>>,
    /// What was last said, and of which listeners; none: something has changed since.
    said: Option<(Vec<ListenerId>, Vec<Warning>)>,
}

impl Shadows {
    /// A host loses entries and gets others.
    pub(crate) fn apply(
        &mut self,
        host: (ListenerId, HostPattern),
        gone: &[Arc<Entry>],
        new: Vec<Arc<Entry>>,
    ) {
        let mut contested = self.contested.remove(&host).unwrap_or_default();
        for entry in gone {
            let hash = hash(&host, &entry.matches);
            if self.remove(hash, entry) < 2 {
                contested.remove(&hash);
            }
        }
        for entry in new {
            let hash = hash(&host, &entry.matches);
            if self.add(hash, entry) > 1 {
                contested.insert(hash);
            }
        }
        let found = self.shadows(&contested);
        if !contested.is_empty() {
            self.contested.insert(host.clone(), contested);
        }
        let before = if found.is_empty() {
            self.found.remove(&host).unwrap_or_default()
        } else {
            let found = found.clone();
            self.found.insert(host, found).unwrap_or_default()
        };
        if before != found {
            self.said = None;
        }
    }

    /// The warnings about the programs of these listeners, sorted; each pair of rules once, however many they share.
    pub(crate) fn warnings(&mut self, served: Vec<ListenerId>) -> Vec<Warning> {
        if let Some((_, warnings)) = self.said.as_ref().filter(|(of, _)| *of == served) {
            return warnings.clone();
        }
        let listeners: BTreeSet<&ListenerId> = served.iter().collect();
        let mut places: BTreeMap<(&RuleId, usize, &RuleId), BTreeSet<String>> = BTreeMap::new();
        for ((listener, host), shadows) in &self.found {
            if !listeners.contains(listener) {
                continue;
            }
            for (entry, winner) in shadows {
                let shadow = (&entry.rule.id, entry.match_index, &winner.rule.id);
                let place = format!("host {host} of listener {listener}");
                places.entry(shadow).or_default().insert(place);
            }
        }
        let warnings = places.into_iter().filter_map(|((rule, index, winner), places)| {
            let places = places.into_iter().collect::<Vec<_>>().join(", ");
            Some(Warning {
                object: key(rule)?,
                message: format!(
                    "match {index} of rule {} is never reached: {winner} has the same one ({places})",
                    rule.index
                ),
            })
        });
        let mut warnings: Vec<Warning> = warnings.collect();
        warnings.sort();
        self.said = Some((served, warnings.clone()));
        warnings
    }

    /// Adds an entry; gives how many there are of its hash.
    fn add(&mut self, hash: u64, entry: Arc<Entry>) -> usize {
        let same = self.entries.entry(hash).or_default();
        same.reserve_exact(1);
        same.push(entry);
        same.len()
    }

    /// Takes an entry away; gives how many of its hash are left.
    fn remove(&mut self, hash: u64, entry: &Entry) -> usize {
        let Some(same) = self.entries.get_mut(&hash) else {
            return 0;
        };
        same.retain(|it| it.precedence != entry.precedence);
        let left = same.len();
        if left == 0 {
            self.entries.remove(&hash);
        }
        left
    }

    /// Each entry behind the first of the same conditions.
    fn shadows(&mut self, contested: &BTreeSet<u64>) -> Vec<Shadow> {
        let mut shadows = Vec::new();
        for hash in contested {
            let Some(same) = self.entries.get_mut(hash) else {
                continue;
            };
            same.sort_by(|a, b| a.precedence.cmp(&b.precedence));
            let mut winners: Vec<&Arc<Entry>> = Vec::new();
            for entry in same.iter() {
                let matches = canonical(&entry.matches);
                let winner = winners.iter().find(|it| canonical(&it.matches) == matches);
                match winner {
                    Some(winner) => shadows.push((Arc::clone(entry), Arc::clone(winner))),
                    None => winners.push(entry),
                }
            }
        }
        shadows
    }
}

fn hash(host: &(ListenerId, HostPattern), matches: &Match) -> u64 {
    let mut hasher = DefaultHasher::new();
    (host, canonical(matches)).hash(&mut hasher);
    hasher.finish()
}

/// The conditions in an order that does not depend on how they were written.
fn canonical(matches: &Match) -> Match {
    let mut matches = matches.clone();
    matches
        .headers
        .sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    matches.query.sort_by(|a, b| a.name.cmp(&b.name));
    matches
}

fn key(rule: &RuleId) -> Option<ObjectKey> {
    Some(ObjectKey {
        kind: Kind::parse(&rule.route.kind)?,
        name: ObjectName::clone(&rule.route.object),
    })
}
