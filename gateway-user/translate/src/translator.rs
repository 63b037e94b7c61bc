//! Translation with a memory: what did not change since the last time is not made again.
//!
//! Three kinds of inputs make three kinds of changes. What routes stand on ([`Ground`]) changes seldom, and everything
//! is placed anew. A route changes itself. A Service or its endpoints change the routes that refer to it. The outcome
//! is the same as without a memory, whatever came before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_ir::{ObjectName, SharedMap};

use crate::backend::{Backends, Resolver};
use crate::ground::{Ground, same};
use crate::hosts::{Edits, Hosts};
use crate::inputs::Inputs;
use crate::model::{HttpRule, Route};
use crate::routes::{Placed, Walk};
use crate::status::{Kind, ObjectKey};
use crate::statuses::Statuses;
use crate::streams::Streams;
use crate::uses::Uses;
use crate::{Outcome, Settings, assemble, conv, expiry, gateway_status, set_status};

/// Translates states that follow each other, at the cost of what changed between them.
#[derive(Debug, Default)]
pub struct Translator {
    last: Option<(Inputs, Settings)>,
    ground: Option<Ground>,
    backends: Backends,
    /// The HTTPRoutes and GRPCRoutes.
    placed: BTreeMap<ObjectKey, Placed>,
    /// Each Service that one of them refers to, with that one.
    referring: BTreeSet<(ObjectName, ObjectKey)>,
    hosts: Hosts,
    streams: Streams,
    uses: Uses,
    statuses: Statuses,
    /// The statuses that depend on the ground.
    on_ground: BTreeSet<ObjectKey>,
}

/// What changed since the last time.
struct Changes {
    /// HTTPRoutes and GRPCRoutes that changed, or that refer to a Service that changed.
    routes: BTreeSet<ObjectKey>,
    streams: bool,
}

impl Translator {
    /// Translates all objects. The outcome is that of [`translate`](crate::translate).
    pub fn translate(&mut self, inputs: &Inputs, settings: &Settings) -> Outcome {
        let (old, known) = match self.last.take() {
            Some((old, known)) => (old, Some(known)),
            None => (Inputs::default(), None),
        };
        let stands =
            known.is_some_and(|it| it.serves_as(settings)) && Ground::is_same(&old, inputs);
        let mut ground = match self.ground.take().filter(|_| stands) {
            Some(ground) => ground,
            None => Ground::new(inputs, settings),
        };
        let mut changes = self.changes(&old, inputs);
        if !stands {
            self.backends.forget_all();
            changes.streams = true;
            changes.routes.extend(self.placed.keys().cloned());
            changes.routes.extend(keys(inputs));
        }
        self.place(&changes, inputs, &mut ground);
        self.follow(&changes, inputs, &mut ground);
        self.say(&ground, settings);
        let snapshot = assemble::snapshot(&ground, &self.hosts, &self.streams);
        let listeners = snapshot.http.iter().flat_map(|port| &port.listeners);
        let served = listeners.map(|listener| listener.id.clone()).collect();
        let certificates = expiry::warnings(&ground.gateways, settings.time());
        let until = expiry::next_change(&ground.gateways, settings.time());
        self.ground = Some(ground);
        self.last = Some((inputs.clone(), settings.clone()));
        Outcome {
            warnings: self.hosts.warnings(served),
            certificates,
            until,
            statuses: self.statuses.clone(),
            snapshot,
        }
    }

    /// Finds what changed, and forgets what was known of it.
    fn changes(&mut self, old: &Inputs, new: &Inputs) -> Changes {
        let mut services: BTreeSet<ObjectName> =
            changed(&old.services, &new.services).cloned().collect();
        let slices = old
            .endpoint_slices
            .differences(&new.endpoint_slices, Arc::ptr_eq);
        for (name, before, after) in slices {
            let of = self.backends.set_slice(name, before.map(|it| &**it), after);
            services.extend(of);
        }
        services.iter().for_each(|it| self.backends.forget(it));
        let http = changed(&old.http_routes, &new.http_routes);
        let grpc = changed(&old.grpc_routes, &new.grpc_routes);
        let referring = services.iter().flat_map(|it| self.referring(it));
        let routes = http
            .map(|name| key(Kind::HttpRoute, name))
            .chain(grpc.map(|name| key(Kind::GrpcRoute, name)))
            .chain(referring.cloned());
        let streams = !same(&old.tls_routes, &new.tls_routes)
            || !same(&old.tcp_routes, &new.tcp_routes)
            || !same(&old.udp_routes, &new.udp_routes)
            || services.iter().any(|it| self.streams.services.contains(it));
        Changes {
            routes: routes.collect(),
            streams,
        }
    }

    /// The HTTPRoutes and GRPCRoutes that refer to a Service.
    fn referring(&self, service: &ObjectName) -> impl Iterator<Item = &ObjectKey> {
        let first = key(Kind::HttpRoute, &ObjectName::new("", ""));
        let pairs = self.referring.range((service.clone(), first)..);
        let pairs = pairs.take_while(move |(of, _)| of == service);
        pairs.map(|(_, route)| route)
    }

    /// Places the HTTPRoutes and GRPCRoutes that changed.
    fn place(&mut self, changes: &Changes, inputs: &Inputs, ground: &mut Ground) {
        let mut edits = Edits::default();
        for key in &changes.routes {
            let new = model(key, inputs).map(|route| self.walk(inputs, ground).http(&route));
            let old = self.placed.remove(key);
            edits.exchange(
                old.as_ref().map(|it| &it.entries),
                new.as_ref().map(|it| &it.entries),
            );
            if let Some(old) = old {
                self.remove(key, &old, ground);
            }
            if let Some(new) = new {
                self.add(key, new, ground);
            }
        }
        self.hosts.apply(edits);
    }

    fn remove(&mut self, key: &ObjectKey, placed: &Placed, ground: &mut Ground) {
        ground.leave(&placed.seats, key);
        self.uses.remove_all(&placed.uses);
        for service in &placed.services {
            self.referring.remove(&(service.clone(), key.clone()));
        }
        self.statuses.remove(key);
    }

    fn add(&mut self, key: &ObjectKey, placed: Placed, ground: &mut Ground) {
        ground.enter(&placed.seats, key);
        self.uses.add_all(&placed.uses);
        for service in &placed.services {
            self.referring.insert((service.clone(), key.clone()));
        }
        self.statuses.set(Arc::clone(&placed.status));
        self.placed.insert(key.clone(), placed);
    }

    /// Compiles the routes of the other kinds, all of them if anything of theirs changed: which of them is followed
    /// depends on the others.
    fn follow(&mut self, changes: &Changes, inputs: &Inputs, ground: &mut Ground) {
        if !changes.streams {
            return;
        }
        let new = Streams::new(&mut self.walk(inputs, ground));
        let old = std::mem::replace(&mut self.streams, new);
        self.uses.remove_all(&old.uses);
        for (status, seats) in &old.routes {
            ground.leave(seats, &status.object);
            self.statuses.remove(&status.object);
        }
        self.uses.add_all(&self.streams.uses);
        for (status, seats) in &self.streams.routes {
            ground.enter(seats, &status.object);
            self.statuses.set(Arc::clone(status));
        }
    }

    fn walk<'a>(&'a mut self, inputs: &'a Inputs, ground: &'a Ground) -> Walk<'a> {
        Walk {
            inputs,
            gateways: &ground.gateways,
            parents: &ground.parents,
            resolver: Resolver::new(inputs, &ground.grants, &ground.policies, &mut self.backends),
        }
    }

    /// Says what became of everything that is no route.
    fn say(&mut self, ground: &Ground, settings: &Settings) {
        let Ground {
            config, gateways, ..
        } = ground;
        let mut said = gateway_status::statuses(gateways, &config.addressing, settings);
        said.extend(set_status::statuses(
            gateways,
            &config.addressing,
            settings.time(),
        ));
        said.extend(ground.policies.statuses(&self.uses));
        said.extend(config.statuses.iter().cloned());
        said.extend(ground.gateway_configs.iter().cloned());
        let about: BTreeSet<ObjectKey> = said.iter().map(|it| it.object.clone()).collect();
        for gone in self.on_ground.difference(&about) {
            self.statuses.remove(gone);
        }
        self.on_ground = about;
        said.into_iter()
            .for_each(|status| self.statuses.set(Arc::new(status)));
    }
}

fn key(kind: Kind, name: &ObjectName) -> ObjectKey {
    let name = name.clone();
    ObjectKey { kind, name }
}

/// The HTTPRoutes and GRPCRoutes.
fn keys(inputs: &Inputs) -> impl Iterator<Item = ObjectKey> {
    let http = inputs.http_routes.keys();
    let grpc = inputs.grpc_routes.keys();
    let http = http.map(|name| key(Kind::HttpRoute, name));
    http.chain(grpc.map(|name| key(Kind::GrpcRoute, name)))
}

/// The names of the objects that are not the same in two states.
fn changed<'m, T>(
    old: &'m SharedMap<ObjectName, Arc<T>>,
    new: &'m SharedMap<ObjectName, Arc<T>>,
) -> impl Iterator<Item = &'m ObjectName> {
    let differences = old.differences(new, Arc::ptr_eq);
    differences.map(|(name, _, _)| name)
}

/// An HTTPRoute or GRPCRoute in our own words; nothing if it is gone.
fn model(key: &ObjectKey, inputs: &Inputs) -> Option<Route<HttpRule>> {
    if key.kind == Kind::GrpcRoute {
        let route = inputs.grpc_routes.get(&key.name)?;
        return Some(conv::grpc_route::grpc_route(route));
    }
    let route = inputs.http_routes.get(&key.name)?;
    Some(conv::http_route::http_route(route))
}
