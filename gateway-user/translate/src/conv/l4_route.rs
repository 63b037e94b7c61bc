//! TCPRoutes and UDPRoutes, whose rules are nothing but backendRefs.

use super::meta::meta;
use super::reference::{backend_ref, parent_ref};
use crate::kinds::{TcpRoute, UdpRoute};
use crate::model::{L4Rule, Route};
use crate::status::Kind;

/// Reads a route whose rules are nothing but backendRefs.
macro_rules! l4_route {
    ($route:expr, $kind:expr) => {{
        let meta = meta(&$route.metadata);
        let namespace = &meta.name.namespace;
        let parents = $route.spec.parent_refs.iter().flatten();
        let rules = $route.spec.rules.iter();
        Route {
            kind: $kind,
            parents: parents.map(|it| parent_ref!(it, namespace)).collect(),
            hostnames: Vec::new(),
            rules: rules
                .map(|rule| L4Rule {
                    name: rule.name.clone(),
                    backends: rule
                        .backend_refs
                        .iter()
                        .map(|it| backend_ref!(it, namespace))
                        .collect(),
                })
                .collect(),
            meta,
        }
    }};
}

pub(crate) fn tcp_route(route: &TcpRoute) -> Route<L4Rule> {
    l4_route!(route, Kind::TcpRoute)
}

pub(crate) fn udp_route(route: &UdpRoute) -> Route<L4Rule> {
    l4_route!(route, Kind::UdpRoute)
}
