//! What is shown: the conditions that translation promised, corrected by what the gates report.
//!
//! Pure functions. `Programmed` means programmed: it is True only when every gate that a listener needs runs the
//! snapshot that the condition speaks of.

pub mod acknowledged;
pub mod fleet;
pub mod merge;
pub mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_ir::{
    Gate, GateReport, Generation, ListenerFailure, ListenerId, ServiceTarget, Snapshot,
};
use gateway_translate::{
    Condition, ConditionStatus, ConditionType, Kind, ObjectKey, ObjectStatus, Reason, Statuses,
};
use serde::Serialize;

use crate::Published;

/// Kinds of objects whose statuses promise what gates and nodes have to keep.
const PROMISED: [Kind; 2] = [Kind::Gateway, Kind::ListenerSet];

/// The latest report of each gate; a gate that is not in it has not been heard of.
pub type Reports = BTreeMap<Gate, GateReport>;

/// The conditions of every object as they are right now.
pub fn conditions(published: &Published, reports: &Reports) -> Statuses {
    let needs = needs(&published.snapshot);
    let mut statuses = published.statuses.clone();
    for promised in PROMISED
        .iter()
        .flat_map(|kind| published.statuses.of_kind(*kind))
    {
        let mut status = promised.clone();
        correct(&mut status, published.generation, &needs, reports);
        if status != *promised {
            statuses.set(Arc::new(status));
        }
    }
    statuses
}

/// Whether this process serves, and what is missing if it does not: the body of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Everything that this process runs has been programmed, and every VIP has an owner.
    pub ready: bool,
    /// The configuration that is wanted; none: there is none yet.
    pub generation: Option<Generation>,
    /// Whether every running gate runs exactly that one: false for a moment after every change.
    pub current: bool,
    /// What keeps `ready` false.
    pub missing: Vec<String>,
    /// What does not work although the process is ready: gates that are off, listeners and files at fault.
    pub notes: Vec<String>,
    /// The gates.
    pub gates: Reports,
}

/// Sums up the state of the process.
///
/// A gate that is off does not keep the process unready: what it runs, it serves. A change does not either: the
/// gates go on with the former configuration until they have taken over the new one.
pub fn readiness(published: Option<&Published>, reports: &Reports) -> Readiness {
    let (mut missing, mut notes) = (Vec::new(), Vec::new());
    let generation = published.map(|published| published.generation);
    if published.is_none() {
        missing.push("the configuration has not been read yet".to_owned());
    }
    for gate in [Gate::Announce, Gate::Steer, Gate::Proxy] {
        let report = reports.get(&gate).cloned().unwrap_or_default();
        if let Some(reason) = &report.off {
            notes.push(format!("{gate} is off: {reason}"));
            continue;
        }
        if report.programmed.is_none() {
            missing.push(format!("{gate} has not taken over a configuration yet"));
        }
        let failures = report.failures.iter();
        match gate {
            // An address that nobody answers for is the failure that a probe has to see; its listeners say the same.
            Gate::Announce => {
                let messages: BTreeSet<_> = failures.map(|it| it.message.clone()).collect();
                missing.extend(messages);
            }
            Gate::Steer | Gate::Proxy => {
                let named =
                    |it: &ListenerFailure| format!("listener {}: {}", it.listener, it.message);
                notes.extend(failures.map(named));
            }
        }
    }
    let problems = published.iter().flat_map(|it| &it.problems);
    notes.extend(problems.map(ToString::to_string));
    Readiness {
        ready: missing.is_empty(),
        generation,
        current: generation.is_some() && is_current(generation, reports),
        missing,
        notes,
        gates: reports.clone(),
    }
}

/// Tells whether every gate that runs has programmed that generation.
fn is_current(generation: Option<Generation>, reports: &Reports) -> bool {
    let mut running = reports.values().filter(|report| report.off.is_none());
    running.all(|report| report.programmed == generation)
}

/// The gates that each listener needs; a listener that is in no part of the snapshot needs none.
fn needs(snapshot: &Snapshot) -> BTreeMap<&ListenerId, BTreeSet<Gate>> {
    let mut needs: BTreeMap<&ListenerId, BTreeSet<Gate>> = BTreeMap::new();
    for listener in snapshot.http.iter().flat_map(|port| &port.listeners) {
        needs.entry(&listener.id).or_default().insert(Gate::Proxy);
    }
    for service in &snapshot.services {
        let gates = needs.entry(&service.listener).or_default();
        gates.extend([Gate::Announce, Gate::Steer]);
        match service.target {
            ServiceTarget::Proxy => gates.extend([Gate::Proxy]),
            ServiceTarget::Endpoints { .. } => {}
        }
    }
    needs
}

/// Corrects what a Gateway or a ListenerSet was promised.
fn correct(
    status: &mut ObjectStatus,
    generation: Generation,
    needs: &BTreeMap<&ListenerId, BTreeSet<Gate>>,
    reports: &Reports,
) {
    let (mut working, mut broken) = (0, Vec::new());
    for listener in &mut status.listeners {
        let Some(programmed) = promised(&mut listener.conditions) else {
            continue;
        };
        let needed = needed(needs, &status.object, &listener.name);
        let obstacle = needed.and_then(|(id, gates)| {
            let mut gates = gates.iter();
            gates.find_map(|gate| obstacle(*gate, id, generation, reports))
        });
        match obstacle {
            Some(message) => {
                broken.push(format!("listener {}: {message}", listener.name));
                withdraw(programmed, message);
            }
            None => working += 1,
        }
    }
    if working == 0
        && !broken.is_empty()
        && let Some(programmed) = promised(&mut status.conditions)
    {
        withdraw(programmed, broken.join("; "));
    }
}

/// The gates that a listener of a Gateway or a ListenerSet needs, with its name in the snapshot.
fn needed<'n>(
    needs: &'n BTreeMap<&'n ListenerId, BTreeSet<Gate>>,
    object: &ObjectKey,
    name: &str,
) -> Option<(&'n ListenerId, &'n BTreeSet<Gate>)> {
    if object.kind == Kind::ListenerSet {
        // It has the set's name in front of its own, which no listener of a Gateway has.
        let section = format!("{}/{name}", object.name);
        let mut all = needs.iter();
        return all
            .find(|(id, _)| id.section == section)
            .map(|(id, gates)| (*id, gates));
    }
    let id = ListenerId {
        gateway: object.name.clone(),
        section: name.to_owned(),
    };
    needs.get_key_value(&id).map(|(id, gates)| (*id, gates))
}

/// The condition `Programmed` where translation promised it.
fn promised(conditions: &mut [Condition]) -> Option<&mut Condition> {
    conditions
        .iter_mut()
        .find(|it| it.kind == ConditionType::Programmed && it.status == ConditionStatus::True)
}

fn withdraw(programmed: &mut Condition, message: String) {
    programmed.status = ConditionStatus::False;
    programmed.reason = Reason::Pending;
    programmed.message = message;
}

/// Why a gate does not serve a listener, if it does not.
fn obstacle(
    gate: Gate,
    listener: &ListenerId,
    generation: Generation,
    reports: &Reports,
) -> Option<String> {
    let Some(report) = reports.get(&gate) else {
        return Some(format!("{gate} has not started yet"));
    };
    if let Some(reason) = &report.off {
        return Some(format!("{gate} is off: {reason}"));
    }
    let mut failures = report.failures.iter().chain(&report.elsewhere);
    if let Some(failure) = failures.find(|failure| failure.listener == *listener) {
        return Some(failure.message.clone());
    }
    (report.programmed != Some(generation))
        .then(|| format!("{gate} has not taken over this configuration yet"))
}

#[cfg(test)]
mod tests;
