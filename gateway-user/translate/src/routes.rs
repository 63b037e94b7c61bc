//! Routes of every kind: compiled once, attached at each parent, with the conditions there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_ir::{Backend, Entry, HostPattern, ListenerId, ObjectName};

use crate::attach::{self, Attachment, Candidate};
use crate::backend::Resolver;
use crate::conv;
use crate::conv::grant::Grants;
use crate::http_route;
use crate::inputs::Inputs;
use crate::l4_route;
use crate::listener::GatewayState;
use crate::model::{L4Rule, Meta, Problem, Route};
use crate::status::{
    Condition, ConditionStatus, ConditionType, Kind, ObjectKey, ObjectStatus, ParentReference,
    ParentStatus, Reason,
};

/// What the routes bring to the listeners.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    /// The entries of each host name.
    pub(crate) http: BTreeMap<ListenerId, BTreeMap<HostPattern, Vec<Entry>>>,
    /// The route that a TCP or UDP listener follows.
    pub(crate) l4: BTreeMap<ListenerId, Winner>,
    pub(crate) statuses: Vec<ObjectStatus>,
}

/// The oldest route of a TCP or UDP listener; the others are attached, but get nothing.
#[derive(Debug)]
pub(crate) struct Winner {
    meta: Meta,
    pub(crate) shares: Vec<(u32, Option<Arc<Backend>>)>,
}

/// Compiles and attaches all routes.
pub(crate) fn attach_all(
    inputs: &Inputs,
    grants: &Grants,
    gateways: &mut BTreeMap<ObjectName, GatewayState>,
) -> Routing {
    let mut resolver = Resolver::new(inputs, grants);
    let mut routing = Routing::default();
    for route in inputs.http_routes.values() {
        http(route, inputs, &mut resolver, gateways, &mut routing);
    }
    let tcp = inputs
        .tcp_routes
        .values()
        .map(|it| conv::l4_route::tcp_route(it));
    let udp = inputs
        .udp_routes
        .values()
        .map(|it| conv::l4_route::udp_route(it));
    let mut l4: Vec<Route<L4Rule>> = tcp.chain(udp).collect();
    // The oldest first, so that the first one to attach to a listener is the one it follows.
    l4.sort_by(|a, b| a.meta.age().cmp(&b.meta.age()));
    for route in &l4 {
        self::l4(route, inputs, &mut resolver, gateways, &mut routing);
    }
    routing
}

fn http(
    route: &crate::kinds::HttpRoute,
    inputs: &Inputs,
    resolver: &mut Resolver<'_>,
    gateways: &mut BTreeMap<ObjectName, GatewayState>,
    routing: &mut Routing,
) {
    let route = conv::http_route::http_route(route);
    let compiled = http_route::compile(&route, resolver);
    let verdict = Verdict {
        refused: compiled.refused.as_ref(),
        partial: compiled.partial.as_deref(),
        unresolved: &compiled.unresolved,
    };
    let candidate = Candidate {
        kind: route.kind,
        namespace: &route.meta.name.namespace,
        hostnames: &compiled.hostnames,
    };
    // Two parentRefs may mean the same listener.
    let mut seen = BTreeSet::new();
    let take = |id: &ListenerId, hostnames: Vec<HostPattern>| {
        for hostname in hostnames {
            if !compiled.entries.is_empty() && seen.insert((id.clone(), hostname.clone())) {
                let hosts = routing.http.entry(id.clone()).or_default();
                let entries = hosts.entry(hostname).or_default();
                entries.extend(compiled.entries.iter().cloned());
            }
        }
        None
    };
    let parents = attach_parents(candidate, &route, &verdict, inputs, gateways, take);
    routing
        .statuses
        .push(status(route.kind, &route.meta, parents));
}

fn l4(
    route: &Route<L4Rule>,
    inputs: &Inputs,
    resolver: &mut Resolver<'_>,
    gateways: &mut BTreeMap<ObjectName, GatewayState>,
    routing: &mut Routing,
) {
    let compiled = l4_route::compile(route, resolver);
    let verdict = Verdict {
        refused: compiled.refused.as_ref(),
        partial: None,
        unresolved: &compiled.unresolved,
    };
    let candidate = Candidate {
        kind: route.kind,
        namespace: &route.meta.name.namespace,
        hostnames: &[],
    };
    let winners = &mut routing.l4;
    let parents = attach_parents(
        candidate,
        route,
        &verdict,
        inputs,
        gateways,
        |id, _hostnames| {
            if compiled.refused.is_some() {
                return None;
            }
            let winner = winners.entry(id.clone()).or_insert_with(|| Winner {
                meta: route.meta.clone(),
                shares: compiled.shares.clone(),
            });
            let loses = winner.meta.name != route.meta.name;
            loses.then(|| {
                let name = &winner.meta.name;
                format!(
                    "listener {} follows {} {name}, which is older",
                    id.section, route.kind
                )
            })
        },
    );
    routing
        .statuses
        .push(status(route.kind, &route.meta, parents));
}

/// What is known of a route before it is attached anywhere.
struct Verdict<'a> {
    refused: Option<&'a Problem>,
    partial: Option<&'a str>,
    unresolved: &'a [Problem],
}

/// Attaches a route at each of its parents that is ours. `take` hands what it has to a listener and may give a remark.
fn attach_parents<R>(
    candidate: Candidate<'_>,
    route: &Route<R>,
    verdict: &Verdict<'_>,
    inputs: &Inputs,
    gateways: &mut BTreeMap<ObjectName, GatewayState>,
    mut take: impl FnMut(&ListenerId, Vec<HostPattern>) -> Option<String>,
) -> Vec<ParentStatus> {
    let mut statuses: Vec<ParentStatus> = Vec::new();
    for reference in &route.parents {
        let Some(gateway) = attach::parent(reference, gateways) else {
            continue;
        };
        let attached = attach::attach(candidate, reference, gateway, inputs);
        let outcome = attached.map(|attachments| {
            let mut remarks = Vec::new();
            for Attachment {
                listener,
                hostnames,
            } in attachments
            {
                let listeners = gateways
                    .get_mut(&reference.name)
                    .map(|it| &mut it.listeners);
                let Some(listener) = listeners.and_then(|it| it.get_mut(listener)) else {
                    continue;
                };
                if !listener.is_accepted() {
                    let name = &listener.id.section;
                    remarks.push(format!(
                        "listener {name} is not accepted and serves nothing"
                    ));
                }
                remarks.extend(take(&listener.id, hostnames));
                if verdict.refused.is_none() {
                    listener
                        .routes
                        .insert((route.kind, route.meta.name.clone()));
                }
            }
            remarks.join("; ")
        });
        if !statuses.iter().any(|it| it.parent_ref == *reference) {
            statuses.push(parent_status(reference, outcome, verdict));
        }
    }
    statuses
}

fn parent_status(
    reference: &ParentReference,
    outcome: Result<String, Problem>,
    verdict: &Verdict<'_>,
) -> ParentStatus {
    let attached = outcome.is_ok();
    let outcome = match (outcome, verdict.refused) {
        (Ok(_remark), Some(problem)) => Err(problem.clone()),
        (outcome, _) => outcome,
    };
    let accepted = match &outcome {
        Ok(remark) => condition(
            ConditionType::Accepted,
            ConditionStatus::True,
            Reason::Accepted,
            remark,
        ),
        Err(problem) => condition(
            ConditionType::Accepted,
            ConditionStatus::False,
            problem.reason,
            &problem.message,
        ),
    };
    let mut conditions = vec![accepted, resolved(verdict.unresolved)];
    if let (true, Ok(_), Some(message)) = (attached, &outcome, verdict.partial) {
        let reason = Reason::UnsupportedValue;
        conditions.push(condition(
            ConditionType::PartiallyInvalid,
            ConditionStatus::True,
            reason,
            message,
        ));
    }
    ParentStatus {
        parent_ref: reference.clone(),
        conditions,
    }
}

/// The ResolvedRefs condition: the first problem gives the reason, all give the message.
pub(crate) fn resolved(unresolved: &[Problem]) -> Condition {
    let Some(first) = unresolved.first() else {
        let (status, reason) = (ConditionStatus::True, Reason::ResolvedRefs);
        return condition(ConditionType::ResolvedRefs, status, reason, "");
    };
    let mut messages: Vec<&str> = unresolved.iter().map(|it| it.message.as_str()).collect();
    messages.dedup();
    let message = messages.join("; ");
    condition(
        ConditionType::ResolvedRefs,
        ConditionStatus::False,
        first.reason,
        &message,
    )
}

fn condition(
    kind: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: &str,
) -> Condition {
    Condition::new(kind, status, reason, message)
}

fn status(kind: Kind, meta: &Meta, parents: Vec<ParentStatus>) -> ObjectStatus {
    ObjectStatus {
        object: ObjectKey {
            kind,
            name: meta.name.clone(),
        },
        generation: meta.generation,
        conditions: Vec::new(),
        addresses: Vec::new(),
        listeners: Vec::new(),
        parents,
    }
}
