//! Matches that no request can reach: an earlier one of the same host has the same conditions.
//!
//! Reads the program that serves, so that what it says is what happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gateway_ir::{Entry, HostProgram, Match, ObjectName, Routing, RuleId, Snapshot};
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

/// A match that is never reached, and the rule that is reached instead.
type Shadow<'a> = (&'a RuleId, usize, &'a RuleId);

/// The warnings about all programs, sorted; each pair of rules once, however many listeners they share.
pub(crate) fn warnings(snapshot: &Snapshot) -> Vec<Warning> {
    let mut places: BTreeMap<Shadow<'_>, BTreeSet<String>> = BTreeMap::new();
    for listener in snapshot.http.iter().flat_map(|port| &port.listeners) {
        let Routing::Http(hosts) = &listener.routing else {
            continue;
        };
        for (host, program) in hosts {
            for shadow in shadows(program) {
                let place = format!("host {host} of listener {}", listener.id);
                places.entry(shadow).or_default().insert(place);
            }
        }
    }
    let mut warnings: Vec<Warning> = places
        .into_iter()
        .filter_map(|((rule, index, winner), places)| {
            let places = places.into_iter().collect::<Vec<_>>().join(", ");
            Some(Warning {
                object: key(rule)?,
                message: format!(
                    "match {index} of rule {} is never reached: {winner} has the same one ({places})",
                    rule.index
                ),
            })
        })
        .collect();
    warnings.sort();
    warnings
}

fn shadows(program: &HostProgram) -> Vec<Shadow<'_>> {
    let mut first: HashMap<Match, &Entry> = HashMap::new();
    let mut shadows = Vec::new();
    for entry in program.entries() {
        match first.get(&canonical(&entry.matches)) {
            Some(winner) => {
                shadows.push((&entry.rule.id, entry.match_index, &winner.rule.id));
            }
            None => drop(first.insert(canonical(&entry.matches), entry)),
        }
    }
    shadows
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
