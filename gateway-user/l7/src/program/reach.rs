//! Which endpoints a program leads to.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Listener, Routing};
use crate::transport::{Destination, EndpointKey};

/// Every endpoint of the listeners' routes; sets that several routes share are read once.
pub(super) fn endpoints(listeners: &[Arc<Listener>]) -> HashSet<EndpointKey> {
    let mut seen = HashSet::new();
    let mut endpoints = HashSet::new();
    let mut add = |destination: &Destination| {
        let (set, transport) = (&destination.backend.endpoints, destination.transport.id());
        if seen.insert((Arc::as_ptr(set), transport)) {
            let all = set.endpoints.iter();
            endpoints.extend(all.map(|endpoint| (endpoint.address, transport)));
        }
    };
    for listener in listeners {
        match &listener.routing {
            Routing::Http(hosts) => {
                let routes = hosts.values();
                routes.flat_map(|it| it.destinations()).for_each(&mut add);
            }
            Routing::Stream { hosts, .. } => {
                let rules = hosts.values();
                rules.flat_map(|it| it.destinations()).for_each(&mut add);
            }
        }
    }
    endpoints
}
