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
    hosts: BTreeMap<(ListenerId, HostPattern), Matches>,
    /// Of the hosts that have some.
    found: BTreeMap<(ListenerId, HostPattern), Vec<Shadow>>,
    /// What was last said, and of which listeners; none: something has changed since.
    said: Option<(Vec<ListenerId>, Vec<Warning>)>,
}

/// The matches of one host.
#[derive(Debug, Default)]
struct Matches {
    /// By the hash of their conditions.
    entries: HashMap<u64, Vec<Arc<Entry>>>,
    /// The hashes that several have.
    contested: BTreeSet<u64>,
}

impl Shadows {
    /// A host loses entries and gets others.
    pub(crate) fn apply(
        &mut self,
        host: (ListenerId, HostPattern),
        gone: &[Arc<Entry>],
        new: Vec<Arc<Entry>>,
    ) {
        let matches = self.hosts.entry(host.clone()).or_default();
        gone.iter().for_each(|entry| matches.remove(entry));
        new.into_iter().for_each(|entry| matches.add(entry));
        let found = matches.shadows();
        if matches.entries.is_empty() {
            self.hosts.remove(&host);
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
}

impl Matches {
    fn add(&mut self, entry: Arc<Entry>) {
        let hash = hash(&entry.matches);
        let same = self.entries.entry(hash).or_default();
        same.push(entry);
        if same.len() > 1 {
            self.contested.insert(hash);
        }
    }

    fn remove(&mut self, entry: &Entry) {
        let hash = hash(&entry.matches);
        let Some(same) = self.entries.get_mut(&hash) else {
            return;
        };
        same.retain(|it| it.precedence != entry.precedence);
        if same.len() < 2 {
            self.contested.remove(&hash);
        }
        if same.is_empty() {
            self.entries.remove(&hash);
        }
    }

    /// Each entry behind the first of the same conditions.
    fn shadows(&mut self) -> Vec<Shadow> {
        let mut shadows = Vec::new();
        for hash in &self.contested {
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

fn hash(matches: &Match) -> u64 {
    let mut hasher = DefaultHasher::new();
    canonical(matches).hash(&mut hasher);
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
