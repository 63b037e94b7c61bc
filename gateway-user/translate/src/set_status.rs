//! The conditions of ListenerSets.

use std::collections::BTreeMap;

use gateway_ir::ObjectName;

use crate::condition::refuse;
use crate::config::Addressing;
use crate::listener::{GatewayState, ListenerState, Owner};
use crate::listener_set::SetState;
use crate::listener_status;
use crate::model::Problem;
use crate::status::{Condition, ConditionStatus, ConditionType, Kind, ObjectStatus, Reason};
use crate::validity::Time;

/// The statuses of all ListenerSets that name one of our Gateways.
pub(crate) fn statuses(
    gateways: &BTreeMap<ObjectName, GatewayState>,
    addressing: &Addressing,
    now: Time,
) -> Vec<ObjectStatus> {
    let sets = gateways.values().flat_map(|gateway| {
        let sets = gateway.sets.iter();
        sets.map(move |set| status(set, gateway, addressing, now))
    });
    sets.collect()
}

/// Whether a set counts as attached: its Gateway lets it in, and a listener of it is good.
pub(crate) fn is_attached(set: &SetState, gateway: &GatewayState) -> bool {
    set.refused.is_none() && listeners(set, gateway).iter().any(|it| is_good(it))
}

/// Conformance (ListenerSetReferenceGrant): an entry without its certificate is no valid one.
fn is_good(listener: &ListenerState) -> bool {
    listener.is_valid()
}

fn listeners<'a>(set: &SetState, gateway: &'a GatewayState) -> Vec<&'a ListenerState> {
    let owner = Owner::Set(set.meta.name.clone());
    gateway
        .listeners
        .iter()
        .filter(|it| it.owner == owner)
        .collect()
}

fn status(
    set: &SetState,
    gateway: &GatewayState,
    addressing: &Addressing,
    now: Time,
) -> ObjectStatus {
    let listeners = listeners(set, gateway);
    let entries = listeners
        .iter()
        .map(|it| listener_status::status(it, gateway, addressing, now));
    ObjectStatus {
        conditions: conditions(set, gateway, &listeners, addressing),
        listeners: entries.collect(),
        ..ObjectStatus::new(Kind::ListenerSet, &set.meta.name, set.meta.generation)
    }
}

fn conditions(
    set: &SetState,
    gateway: &GatewayState,
    listeners: &[&ListenerState],
    addressing: &Addressing,
) -> Vec<Condition> {
    let (accepted, programmed) = (ConditionType::Accepted, ConditionType::Programmed);
    let none_valid = || {
        let message = "no listener of the set is valid";
        Problem::new(Reason::ListenersNotValid, message)
    };
    let refused = set.refused.clone();
    let refused = refused.or_else(|| (!is_attached(set, gateway)).then(none_valid));
    if let Some(problem) = &refused {
        return vec![refuse(accepted, problem), refuse(programmed, problem)];
    }
    let bad = listeners.iter().filter(|it| !is_good(it));
    let bad: Vec<&str> = bad.map(|it| it.model.name.as_str()).collect();
    let (reason, message) = if bad.is_empty() {
        (Reason::Accepted, String::new())
    } else {
        let message = format!("not valid: listener {}", bad.join(", "));
        (Reason::ListenersNotValid, message)
    };
    let problems = listeners
        .iter()
        .map(|it| listener_status::unprogrammed(it, gateway, addressing));
    let problems: Option<Vec<Problem>> = problems.collect();
    let programmed = match problems.and_then(|all| all.into_iter().next()) {
        // Every listener has a problem.
        Some(problem) => refuse(programmed, &problem),
        None => {
            let (kind, status) = (programmed, ConditionStatus::True);
            Condition::new(kind, status, Reason::Programmed, "")
        }
    };
    let accepted = Condition::new(accepted, ConditionStatus::True, reason, message);
    vec![accepted, programmed]
}
