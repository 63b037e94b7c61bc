//! HTTPRoutes.

use std::sync::Arc;

use gateway_crds::httproutes::{HttpRouteRules, HttpRouteRulesBackendRefs};
use gateway_ir::{HostPattern, Match, PathMatch};

use super::filter::filters;
use super::matching::matching;
use super::meta::meta;
use super::policy;
use super::reference::{backend_ref, parent_ref};
use crate::kinds::HttpRoute;
use crate::model::{HttpBackendRef, HttpRule, Meta, Route};
use crate::status::Kind;

pub(crate) fn http_route(route: &HttpRoute) -> Route<HttpRule> {
    let meta = meta(&route.metadata);
    let namespace = &meta.name.namespace;
    let parents = route.spec.parent_refs.iter().flatten();
    let hostnames = route.spec.hostnames.iter().flatten();
    // The API's default: one rule that matches everything and leads nowhere.
    let default = [HttpRouteRules::default()];
    let rules = route.spec.rules.as_deref().unwrap_or(&default);
    let rules = rules.iter().enumerate();
    Route {
        kind: Kind::HttpRoute,
        parents: parents.map(|it| parent_ref!(it, namespace)).collect(),
        hostnames: hostnames.map(|it| hostname(it)).collect(),
        rules: rules.map(|(index, it)| rule(it, index, &meta)).collect(),
        meta,
    }
}

/// Reads a hostname of a route.
pub(crate) fn hostname(text: &str) -> Result<HostPattern, String> {
    text.parse::<HostPattern>()
        .map_err(|error| format!("hostname {text:?} is {error}"))
}

fn rule(rule: &HttpRouteRules, index: usize, meta: &Meta) -> HttpRule {
    let namespace = &meta.name.namespace;
    let matches = rule.matches.as_deref().unwrap_or_default();
    let backends = rule.backend_refs.iter().flatten();
    let persistence = rule.session_persistence.as_ref();
    HttpRule {
        name: rule.name.clone(),
        matches: if matches.is_empty() {
            vec![Ok(match_all())]
        } else {
            matches.iter().map(matching).collect()
        },
        filters: filters(rule.filters.as_deref(), namespace),
        timeouts: policy::timeouts(rule.timeouts.as_ref()),
        retry: policy::retry(rule.retry.as_ref()),
        persistence: policy::persistence(persistence, &session_name(meta, index)),
        backends: backends.map(|it| backend(it, namespace)).collect(),
    }
}

/// Gateway API: without `matches` a rule matches the path prefix `/`.
pub(crate) fn match_all() -> Match {
    Match {
        path: PathMatch::Prefix(String::new()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

/// The name of a rule's sessions when the route gives none: no two rules may overwrite each other's.
pub(crate) fn session_name(meta: &Meta, rule: usize) -> String {
    format!("sanmon-{}-{}-{rule}", meta.name.namespace, meta.name.name)
}

fn backend(backend: &HttpRouteRulesBackendRefs, namespace: &Arc<str>) -> HttpBackendRef {
    HttpBackendRef {
        filters: filters(backend.filters.as_deref(), namespace),
        reference: backend_ref!(backend, namespace),
    }
}
