//! TLSRoutes, TCPRoutes and UDPRoutes: of several that want the same, the oldest is followed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_ir::{Backend, HostPattern, ListenerId, ObjectName, StreamProgram};

use crate::client_certificate;
use crate::conv;
use crate::l4_route;
use crate::model::{L4Rule, Meta, Route};
use crate::routes::{Place, Seat, Verdict, Walk, status};
use crate::status::ObjectStatus;
use crate::tls_route;

/// What these routes bring to the listeners.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// The route that each name of a TLS listener follows.
    pub(crate) tls: BTreeMap<ListenerId, BTreeMap<HostPattern, Stream>>,
    /// The route that a TCP or UDP listener follows.
    pub(crate) l4: BTreeMap<ListenerId, Winner>,
    /// What became of each route, and the listeners that it counts for.
    pub(crate) routes: Vec<(Arc<ObjectStatus>, BTreeSet<Seat>)>,
    /// The Services that they refer to.
    pub(crate) services: BTreeSet<ObjectName>,
    /// The Services that routes of each Gateway lead to through the proxy.
    pub(crate) uses: BTreeSet<(ObjectName, ObjectName)>,
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

impl Streams {
    /// Compiles and attaches all these routes.
    pub(crate) fn new(walk: &mut Walk<'_>) -> Self {
        let mut streams = Self::default();
        let inputs = walk.inputs;
        let tls = inputs.tls_routes.values();
        for route in oldest_first(tls.map(|it| conv::tls_route::tls_route(it))) {
            streams.refer(&route);
            streams.tls(&route, walk);
        }
        let tcp = inputs.tcp_routes.values();
        let tcp = tcp.map(|it| conv::l4_route::tcp_route(it));
        let udp = inputs.udp_routes.values();
        let udp = udp.map(|it| conv::l4_route::udp_route(it));
        for route in oldest_first(tcp.chain(udp)) {
            streams.refer(&route);
            streams.l4(&route, walk);
        }
        streams
    }

    fn refer(&mut self, route: &Route<L4Rule>) {
        let backends = route.rules.iter().flat_map(|rule| &rule.backends);
        let services = backends.filter(|it| it.target.is_service());
        let names = services.map(|it| it.target.name.clone());
        self.services.extend(names);
    }

    fn tls(&mut self, route: &Route<L4Rule>, walk: &mut Walk<'_>) {
        let compiled = tls_route::compile(route, &mut walk.resolver);
        let verdict = Verdict {
            refused: compiled.refused.as_ref(),
            partial: None,
            unresolved: &compiled.unresolved,
            hostnames: &compiled.hostnames,
        };
        let (streams, uses) = (&mut self.tls, &mut self.uses);
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
        let (parents, seats) = walk.attach(route, &verdict, take);
        self.routes.push((Arc::new(status(route, parents)), seats));
    }

    fn l4(&mut self, route: &Route<L4Rule>, walk: &mut Walk<'_>) {
        let compiled = l4_route::compile(route, &mut walk.resolver);
        let verdict = Verdict {
            refused: compiled.refused.as_ref(),
            partial: None,
            unresolved: &compiled.unresolved,
            hostnames: &[],
        };
        let (winners, unused) = (&mut self.l4, l4_route::unused(&compiled.shares));
        let take = |place: Place<'_>| {
            if compiled.refused.is_some() {
                return None;
            }
            let id = &place.listener.id;
            let winner = winners.entry(id.clone()).or_insert_with(|| Winner {
                meta: route.meta.clone(),
                shares: compiled.shares.clone(),
            });
            if winner.meta.name == route.meta.name {
                return unused.clone();
            }
            let name = &winner.meta.name;
            Some(format!(
                "listener {} follows {} {name}, which is older",
                id.section, route.kind
            ))
        };
        let (parents, seats) = walk.attach(route, &verdict, take);
        self.routes.push((Arc::new(status(route, parents)), seats));
    }
}

/// The first route to attach is the one that a listener follows.
fn oldest_first(routes: impl Iterator<Item = Route<L4Rule>>) -> Vec<Route<L4Rule>> {
    let mut routes: Vec<Route<L4Rule>> = routes.collect();
    routes.sort_by(|a, b| a.meta.age().cmp(&b.meta.age()));
    routes
}
