//! ListenerSets: listeners that others add to a Gateway.

use std::collections::BTreeMap;

use gateway_ir::ObjectName;

use crate::conv;
use crate::conv::meta::namespace_labels;
use crate::conv::reference::GATEWAY_GROUP;
use crate::inputs::Inputs;
use crate::model::{Gateway, Listener, ListenerSet, Meta, Problem};
use crate::status::{Kind, Reason};

/// A ListenerSet that names one of our Gateways.
#[derive(Debug)]
pub(crate) struct SetState {
    pub(crate) meta: Meta,
    /// Why its listeners are not the Gateway's.
    pub(crate) refused: Option<Problem>,
}

/// The ListenerSets by the Gateway that they name, in the order in which they win conflicts.
pub(crate) fn by_gateway(inputs: &Inputs) -> BTreeMap<ObjectName, Vec<ListenerSet>> {
    let mut by_gateway: BTreeMap<ObjectName, Vec<ListenerSet>> = BTreeMap::new();
    for set in inputs.listener_sets.values() {
        let set = conv::listener::listener_set(set);
        if set.parent.group == GATEWAY_GROUP && set.parent.kind == Kind::Gateway.as_str() {
            let gateway = set.parent.name.clone();
            by_gateway.entry(gateway).or_default().push(set);
        }
    }
    for sets in by_gateway.values_mut() {
        sets.sort_by(|a, b| a.meta.age().cmp(&b.meta.age()));
    }
    by_gateway
}

/// Decides whether a Gateway lets a ListenerSet in; `gateway_problem` is why it is not accepted itself.
pub(crate) fn attach(
    set: ListenerSet,
    gateway: &Gateway,
    gateway_problem: Option<&Problem>,
    inputs: &Inputs,
) -> (SetState, Vec<Listener>) {
    let own = &gateway.meta.name;
    let namespace = &set.meta.name.namespace;
    let labels = namespace_labels(inputs, namespace);
    let allowed = &gateway.allowed_sets;
    let refused = if gateway_problem.is_some() {
        let message = format!("Gateway {own} is not accepted");
        Some(Problem::new(Reason::ParentNotAccepted, message))
    } else if !allowed.allow(&own.namespace, namespace, &labels) {
        let message =
            format!("allowedListeners of Gateway {own} does not let in namespace {namespace}");
        Some(Problem::new(Reason::NotAllowed, message))
    } else {
        None
    };
    let state = SetState {
        meta: set.meta,
        refused,
    };
    (state, set.listeners)
}
