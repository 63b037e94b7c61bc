//! Routes of every kind: compiled once, attached at each parent, with the conditions there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_ir::{Backend, Certificate, Entry, HostPattern, ListenerId, ObjectName, StreamProgram};

use crate::attach::{self, Attachment, Candidate, Parents};
use crate::backend::Resolver;
use crate::backend_policy::Policies;
use crate::client_certificate;
use crate::condition::resolved;
use crate::conv;
use crate::conv::grant::Grants;
use crate::http_route;
use crate::inputs::Inputs;
use crate::l4_route;
use crate::listener::{GatewayState, ListenerState};
use crate::model::{HttpRule, L4Rule, Meta, Problem, Route};
use crate::status::{
    Condition, ConditionStatus, ConditionType, ObjectStatus, ParentReference, ParentStatus, Reason,
};
use crate::tls_route;

/// What the routes bring to the listeners.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    /// The entries of each host name.
    pub(crate) http: BTreeMap<ListenerId, BTreeMap<HostPattern, Vec<Entry>>>,
    /// The route that each name of a TLS listener follows.
    pub(crate) streams: BTreeMap<ListenerId, BTreeMap<HostPattern, Stream>>,
    /// The route that a TCP or UDP listener follows.
    pub(crate) l4: BTreeMap<ListenerId, Winner>,
    /// The Services that routes of each Gateway lead to through the proxy.
    pub(crate) uses: BTreeSet<(ObjectName, ObjectName)>,
    pub(crate) statuses: Vec<ObjectStatus>,
}

/// The oldest route of a TCP or UDP listener; the others are attached, but get nothing.
#[derive(Debug)]
pub(crate) struct Winner {
    meta: Meta,
    pub(crate) shares: Vec<(u32, Option<Arc<Backend>>)>,
}

/// The oldest route of a name on a TLS listener.
#[derive(Debug)]
pub(crate) struct Stream {
    name: ObjectName,
    pub(crate) program: Arc<StreamProgram>,
}

/// Compiles and attaches all routes.
pub(crate) fn attach_all(
    inputs: &Inputs,
    grants: &Grants,
    policies: &Policies,
    gateways: &mut BTreeMap<ObjectName, GatewayState>,
) -> Routing {
    let mut walk = Walk {
        parents: Parents::new(gateways),
        inputs,
        gateways,
        resolver: Resolver::new(inputs, grants, policies),
    };
    let mut routing = Routing::default();
    let http = inputs.http_routes.values();
    let http = http.map(|it| conv::http_route::http_route(it));
    let grpc = inputs.grpc_routes.values();
    let grpc = grpc.map(|it| conv::grpc_route::grpc_route(it));
    for route in http.chain(grpc) {
        walk.http(&route, &mut routing);
    }
    let tls = inputs.tls_routes.values();
    for route in oldest_first(tls.map(|it| conv::tls_route::tls_route(it))) {
        walk.tls(&route, &mut routing);
    }
    let tcp = inputs.tcp_routes.values();
    let tcp = tcp.map(|it| conv::l4_route::tcp_route(it));
    let udp = inputs.udp_routes.values();
    let udp = udp.map(|it| conv::l4_route::udp_route(it));
    for route in oldest_first(tcp.chain(udp)) {
        walk.l4(&route, &mut routing);
    }
    routing
}

/// The first route to attach is the one that a listener follows.
fn oldest_first(routes: impl Iterator<Item = Route<L4Rule>>) -> Vec<Route<L4Rule>> {
    let mut routes: Vec<Route<L4Rule>> = routes.collect();
    routes.sort_by(|a, b| a.meta.age().cmp(&b.meta.age()));
    routes
}

/// What routes are attached to, and what they need for it.
struct Walk<'a> {
    inputs: &'a Inputs,
    gateways: &'a mut BTreeMap<ObjectName, GatewayState>,
    parents: Parents,
    resolver: Resolver<'a>,
}

impl Walk<'_> {
    fn http(&mut self, route: &Route<HttpRule>, routing: &mut Routing) {
        let compiled = http_route::compile(route, &mut self.resolver);
        let verdict = Verdict {
            refused: compiled.refused.as_ref(),
            partial: compiled.partial.as_deref(),
            unresolved: &compiled.unresolved,
            hostnames: &compiled.hostnames,
        };
        // Two parentRefs may mean the same listener.
        let mut seen = BTreeSet::new();
        let (http, uses) = (&mut routing.http, &mut routing.uses);
        let take = |place: Place<'_>| {
            let id = &place.listener.id;
            let services = compiled.services.iter();
            uses.extend(services.map(|it| (it.clone(), id.gateway.clone())));
            let entries = match place.client_certificate {
                Some(certificate) => client_certificate::entries(&compiled.entries, certificate),
                None => compiled.entries.clone(),
            };
            for hostname in place.hostnames {
                if !entries.is_empty() && seen.insert((id.clone(), hostname.clone())) {
                    let hosts = http.entry(id.clone()).or_default();
                    hosts
                        .entry(hostname)
                        .or_default()
                        .extend(entries.iter().cloned());
                }
            }
            None
        };
        let parents = self.attach(route, &verdict, take);
        routing.statuses.push(status(route, parents));
    }

    fn tls(&mut self, route: &Route<L4Rule>, routing: &mut Routing) {
        let compiled = tls_route::compile(route, &mut self.resolver);
        let verdict = Verdict {
            refused: compiled.refused.as_ref(),
            partial: None,
            unresolved: &compiled.unresolved,
            hostnames: &compiled.hostnames,
        };
        let (streams, uses) = (&mut routing.streams, &mut routing.uses);
        let take = |place: Place<'_>| {
            let id = &place.listener.id;
            let program = if place.listener.ends_tls() {
                let services = compiled.services.iter();
                uses.extend(services.map(|it| (it.clone(), id.gateway.clone())));
                compiled.ended.as_ref()?
            } else {
                compiled.passed.as_ref()?
            };
            let program = match place.client_certificate {
                Some(certificate) => client_certificate::stream(program, certificate),
                None => Arc::clone(program),
            };
            let mut lost = Vec::new();
            for hostname in place.hostnames {
                let hosts = streams.entry(id.clone()).or_default();
                let stream = hosts.entry(hostname.clone()).or_insert_with(|| Stream {
                    name: route.meta.name.clone(),
                    program: Arc::clone(&program),
                });
                if stream.name != route.meta.name {
                    lost.push(format!("{hostname} TLSRoute {}", stream.name));
                }
            }
            let lost = (!lost.is_empty()).then(|| lost.join(", for "))?;
            let section = &id.section;
            Some(format!(
                "listener {section} follows for {lost}, which is older"
            ))
        };
        let parents = self.attach(route, &verdict, take);
        routing.statuses.push(status(route, parents));
    }

    fn l4(&mut self, route: &Route<L4Rule>, routing: &mut Routing) {
        let compiled = l4_route::compile(route, &mut self.resolver);
        let verdict = Verdict {
            refused: compiled.refused.as_ref(),
            partial: None,
            unresolved: &compiled.unresolved,
            hostnames: &[],
        };
        let winners = &mut routing.l4;
        let parents = self.attach(route, &verdict, |place| {
            if compiled.refused.is_some() {
                return None;
            }
            let id = &place.listener.id;
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
        });
        routing.statuses.push(status(route, parents));
    }

    /// Attaches a route at each of its parents that is ours. `take` hands what it has to a listener and may give a
    /// remark.
    fn attach<R>(
        &mut self,
        route: &Route<R>,
        verdict: &Verdict<'_>,
        mut take: impl FnMut(Place<'_>) -> Option<String>,
    ) -> Vec<ParentStatus> {
        let candidate = Candidate {
            kind: route.kind,
            namespace: &route.meta.name.namespace,
            hostnames: verdict.hostnames,
        };
        let mut statuses: Vec<ParentStatus> = Vec::new();
        for reference in &route.parents {
            let Some((name, owner)) = self.parents.find(reference, self.gateways) else {
                continue;
            };
            let Some(gateway) = self.gateways.get_mut(&name) else {
                continue;
            };
            let attached = attach::attach(candidate, reference, gateway, &owner, self.inputs);
            let outcome = attached.map(|attachments| {
                let mut remarks = Vec::new();
                for attachment in attachments {
                    remarks.extend(hand_over(route, verdict, attachment, gateway, &mut take));
                }
                remarks.join("; ")
            });
            if !statuses.iter().any(|it| it.parent_ref == *reference) {
                statuses.push(parent_status(reference, outcome, verdict));
            }
        }
        statuses
    }
}

/// A listener that a route is attached to.
struct Place<'a> {
    listener: &'a ListenerState,
    /// The route's hostnames there.
    hostnames: Vec<HostPattern>,
    /// What the Gateway shows to endpoints.
    client_certificate: Option<&'a Arc<Certificate>>,
}

/// What is known of a route before it is attached anywhere.
struct Verdict<'a> {
    refused: Option<&'a Problem>,
    partial: Option<&'a str>,
    unresolved: &'a [Problem],
    hostnames: &'a [HostPattern],
}

/// Gives a listener what a route has for it; gives remarks.
fn hand_over<R>(
    route: &Route<R>,
    verdict: &Verdict<'_>,
    attachment: Attachment,
    gateway: &mut GatewayState,
    take: &mut impl FnMut(Place<'_>) -> Option<String>,
) -> Vec<String> {
    let certificate = gateway.client_certificate.as_ref();
    let certificate = certificate.and_then(|it| it.as_ref().ok());
    let Some(listener) = gateway.listeners.get_mut(attachment.listener) else {
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
    if verdict.refused.is_none() {
        let name = route.meta.name.clone();
        listener.routes.insert((route.kind, name));
    }
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

fn status<R>(route: &Route<R>, parents: Vec<ParentStatus>) -> ObjectStatus {
    let meta = &route.meta;
    ObjectStatus {
        parents,
        ..ObjectStatus::new(route.kind, &meta.name, meta.generation)
    }
}
