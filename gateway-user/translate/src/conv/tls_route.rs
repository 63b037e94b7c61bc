//! TLSRoutes.

use super::http_route::hostname;
use super::meta::meta;
use super::reference::{backend_ref, parent_ref};
use crate::kinds::TlsRoute;
use crate::model::{L4Rule, Route};
use crate::status::Kind;

pub(crate) fn tls_route(route: &TlsRoute) -> Route<L4Rule> {
    let meta = meta(&route.metadata);
    let namespace = &meta.name.namespace;
    let parents = route.spec.parent_refs.iter().flatten();
    let hostnames = route.spec.hostnames.iter();
    let rules = route.spec.rules.iter().map(|rule| L4Rule {
        name: rule.name.clone(),
        backends: rule
            .backend_refs
            .iter()
            .map(|it| backend_ref!(it, namespace))
            .collect(),
    });
    Route {
        kind: Kind::TlsRoute,
        parents: parents.map(|it| parent_ref!(it, namespace)).collect(),
        hostnames: hostnames.map(|it| hostname(it)).collect(),
        rules: rules.collect(),
        meta,
    }
}
