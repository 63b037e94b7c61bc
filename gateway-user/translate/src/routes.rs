//! Routes of every kind, attached at each parent, with the conditions there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_ir::{Certificate, HostPattern, ObjectName};

use crate::attach::{self, Attachment, Candidate, Parents};
use crate::backend::Resolver;
use crate::client_certificate;
use crate::condition::resolved;
use crate::hosts::Placements;
use crate::http_route;
use crate::inputs::Inputs;
use crate::listener::{GatewayState, ListenerState};
use crate::model::{HttpRule, Problem, Route};
use crate::status::{
    Condition, ConditionStatus, ConditionType, ObjectStatus, ParentReference, ParentStatus, Reason,
};
use crate::uses::Use;

/// A listener's place: its Gateway, and its position there.
pub(crate) type Seat = (ObjectName, usize);

/// What routes are attached to, and what they need for it. No route changes it, so each can be taken by itself.
pub(crate) struct Walk<'a> {
    pub(crate) inputs: &'a Inputs,
    pub(crate) gateways: &'a BTreeMap<ObjectName, GatewayState>,
    pub(crate) parents: &'a Parents,
    pub(crate) resolver: Resolver<'a>,
}

/// What an HTTPRoute or GRPCRoute comes to. It is kept for every route, and most have one of each: the sets are sorted
/// lists, where a tree would take room for eleven.
#[derive(Debug)]
pub(crate) struct Placed {
    /// What it brings to each host name.
    pub(crate) entries: Placements,
    /// The listeners that it counts for.
    pub(crate) seats: Box<[Seat]>,
    /// The Services that it refers to: what it is made of beside itself.
    pub(crate) services: Box<[ObjectName]>,
    /// The Services that it leads to through the proxy of each Gateway.
    pub(crate) uses: Box<[Use]>,
    pub(crate) status: Arc<ObjectStatus>,
}

impl Walk<'_> {
    /// Compiles and attaches an HTTPRoute or GRPCRoute.
    pub(crate) fn http(&mut self, route: &Route<HttpRule>) -> Placed {
        let compiled = http_route::compile(route, &mut self.resolver);
        let verdict = Verdict {
            refused: compiled.refused.as_ref(),
            partial: compiled.partial.as_deref(),
            unresolved: &compiled.unresolved,
            hostnames: &compiled.hostnames,
        };
        let (mut placed, mut uses) = (BTreeMap::new(), BTreeSet::new());
        let take = |place: Place<'_>| {
            let id = &place.listener.id;
            let services = compiled.services.iter();
            uses.extend(services.map(|it| (it.clone(), id.gateway.clone())));
            let entries = match place.client_certificate {
                Some(certificate) => client_certificate::entries(&compiled.entries, certificate),
                None => compiled.entries.clone(),
            };
            for hostname in place.hostnames {
                if !entries.is_empty() {
                    // Two parentRefs may mean the same listener: what they bring is the same.
                    placed.insert((id.clone(), hostname), entries.clone());
                }
            }
            None
        };
        let (parents, seats) = self.attach(route, &verdict, take);
        Placed {
            entries: placed.into(),
            seats: seats.into_iter().collect(),
            uses: uses.into_iter().collect(),
            status: Arc::new(status(route, parents)),
            services: compiled.services.into_iter().collect(),
        }
    }

    /// Attaches a route at each of its parents that is ours. `take` hands what it has to a listener and may give a
    /// remark.
    pub(crate) fn attach<R>(
        &self,
        route: &Route<R>,
        verdict: &Verdict<'_>,
        mut take: impl FnMut(Place<'_>) -> Option<String>,
    ) -> (Vec<ParentStatus>, BTreeSet<Seat>) {
        let candidate = Candidate {
            kind: route.kind,
            namespace: &route.meta.name.namespace,
            hostnames: verdict.hostnames,
        };
        let mut statuses: Vec<ParentStatus> = Vec::with_capacity(route.parents.len());
        let mut seats = BTreeSet::new();
        for reference in &route.parents {
            let Some((name, owner)) = self.parents.find(reference, self.gateways) else {
                continue;
            };
            let Some(gateway) = self.gateways.get(&name) else {
                continue;
            };
            let attached = attach::attach(candidate, reference, gateway, &owner, self.inputs);
            let outcome = attached.map(|attachments| {
                let mut remarks = Vec::new();
                for attachment in attachments {
                    if verdict.refused.is_none() {
                        seats.insert((name.clone(), attachment.listener));
                    }
                    remarks.extend(hand_over(attachment, gateway, &mut take));
                }
                // What holds at every listener is said once.
                remarks.dedup();
                remarks.join("; ")
            });
            if !statuses.iter().any(|it| it.parent_ref == *reference) {
                statuses.push(parent_status(reference, outcome, verdict));
            }
        }
        (statuses, seats)
    }
}

/// A listener that a route is attached to.
pub(crate) struct Place<'a> {
    pub(crate) listener: &'a ListenerState,
    /// The route's hostnames there.
    pub(crate) hostnames: Vec<HostPattern>,
    /// What the Gateway shows to endpoints.
    pub(crate) client_certificate: Option<&'a Arc<Certificate>>,
}

/// What is known of a route before it is attached anywhere.
pub(crate) struct Verdict<'a> {
    pub(crate) refused: Option<&'a Problem>,
    pub(crate) partial: Option<&'a str>,
    pub(crate) unresolved: &'a [Problem],
    pub(crate) hostnames: &'a [HostPattern],
}

/// Gives a listener what a route has for it; gives remarks.
fn hand_over(
    attachment: Attachment,
    gateway: &GatewayState,
    take: &mut impl FnMut(Place<'_>) -> Option<String>,
) -> Vec<String> {
    let certificate = gateway.client_certificate.as_ref();
    let certificate = certificate.and_then(|it| it.as_ref().ok());
    let Some(listener) = gateway.listeners.get(attachment.listener) else {
        return Vec::new();
    };
    let mut remarks = Vec::new();
    if !listener.is_accepted() {
        let name = &listener.id.section;
        remarks.push(format!(
            "listener {name} is not accepted and serves nothing"
        ));
    }
    remarks.extend(take(Place {
        listener,
        hostnames: attachment.hostnames,
        client_certificate: certificate,
    }));
    remarks
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

fn condition(
    kind: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: &str,
) -> Condition {
    Condition::new(kind, status, reason, message)
}

/// The status of a route with what was said of it at its parents.
pub(crate) fn status<R>(route: &Route<R>, parents: Vec<ParentStatus>) -> ObjectStatus {
    let meta = &route.meta;
    ObjectStatus {
        parents,
        ..ObjectStatus::new(route.kind, &meta.name, meta.generation)
    }
}
