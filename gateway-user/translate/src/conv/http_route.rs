//! HTTPRoutes.

use gateway_api::experimental::httproutes::{
    HttpRouteRules, HttpRouteRulesBackendRefs, HttpRouteRulesTimeouts,
};
use gateway_ir::{HostPattern, Match, PathMatch};

use super::filter::{backend_filter_name, filter};
use super::matching::matching;
use super::meta::meta;
use super::reference::{backend_ref, parent_ref};
use crate::kinds::HttpRoute;
use crate::model::{BackendRef, HttpRule, Route};
use crate::status::Kind;

pub(crate) fn http_route(route: &HttpRoute) -> Route<HttpRule> {
    let meta = meta(&route.metadata);
    let namespace = &meta.name.namespace;
    let parents = route.spec.parent_refs.iter().flatten();
    let hostnames = route.spec.hostnames.iter().flatten();
    // The API's default: one rule that matches everything and leads nowhere.
    let default = [HttpRouteRules::default()];
    let rules = route.spec.rules.as_deref().unwrap_or(&default);
    Route {
        kind: Kind::HttpRoute,
        parents: parents.map(|it| parent_ref!(it, namespace)).collect(),
        hostnames: hostnames.map(|it| hostname(it)).collect(),
        rules: rules.iter().map(|it| rule(it, namespace)).collect(),
        meta,
    }
}

fn hostname(text: &str) -> Result<HostPattern, String> {
    text.parse::<HostPattern>()
        .map_err(|error| format!("hostname {text:?} is {error}"))
}

fn rule(rule: &HttpRouteRules, namespace: &str) -> HttpRule {
    let matches = rule.matches.as_deref().unwrap_or_default();
    let backends = rule.backend_refs.iter().flatten();
    HttpRule {
        name: rule.name.clone(),
        matches: if matches.is_empty() {
            vec![Ok(match_all())]
        } else {
            matches.iter().map(matching).collect()
        },
        filters: rule.filters.iter().flatten().map(filter).collect(),
        unsupported: unsupported(rule),
        backends: backends.map(|it| backend(it, namespace)).collect(),
    }
}

/// Gateway API: without `matches` a rule matches the path prefix `/`.
fn match_all() -> Match {
    Match {
        path: PathMatch::Prefix(String::new()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

fn backend(backend: &HttpRouteRulesBackendRefs, namespace: &str) -> BackendRef {
    let filters = backend.filters.iter().flatten();
    let unsupported =
        filters.map(|it| format!("filter {} of a backendRef", backend_filter_name(it)));
    BackendRef {
        unsupported: unsupported.collect(),
        ..backend_ref!(backend, namespace)
    }
}

fn unsupported(rule: &HttpRouteRules) -> Vec<String> {
    let mut fields = Vec::new();
    if rule.timeouts.as_ref().is_some_and(has_deadline) {
        fields.push("timeouts".to_owned());
    }
    if rule
        .retry
        .as_ref()
        .is_some_and(|retry| retry.attempts != Some(0))
    {
        fields.push("retry".to_owned());
    }
    if rule.session_persistence.is_some() {
        fields.push("sessionPersistence".to_owned());
    }
    fields
}

/// Gateway API: a timeout of zero is none.
fn has_deadline(timeouts: &HttpRouteRulesTimeouts) -> bool {
    let set = [&timeouts.request, &timeouts.backend_request];
    set.into_iter().flatten().any(|text| {
        text.parse::<gateway_api::Duration>()
            .map_or(true, |duration| !duration.is_zero())
    })
}
