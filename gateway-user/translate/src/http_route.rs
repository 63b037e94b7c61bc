//! Rules of HTTPRoutes and GRPCRoutes, compiled.
//!
//! A rule that can not be served is not left out: its requests would fall through to another rule, past a filter that
//! was meant to stop them. It keeps its matches and answers 500.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_ir::{
    Entry, Filter, HostPattern, InvalidBackend, Match, ObjectName, RouteKind, RouteName, Rule,
    RuleId, Target, Timeouts, WeightedBackend,
};

use crate::backend::{Purpose, Referrer, Resolver};
use crate::filter_chain::{self, Chain};
use crate::model::{BackendRef, HttpBackendRef, HttpRule, Problem, Route};
use crate::status::{Kind, Reason};

/// What an HTTPRoute or GRPCRoute comes to, wherever it attaches.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    /// The hostnames; empty: every name.
    pub(crate) hostnames: Vec<HostPattern>,
    /// In the order of the rules and their matches.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// Why nothing of the route is served.
    pub(crate) refused: Option<Problem>,
    /// Which rules are not served while others are.
    pub(crate) partial: Option<String>,
    /// References that lead nowhere.
    pub(crate) unresolved: Vec<Problem>,
    /// The Services that it refers to.
    pub(crate) services: BTreeSet<ObjectName>,
}

pub(crate) fn compile(route: &Route<HttpRule>, resolver: &mut Resolver<'_>) -> Compiled {
    let hostnames = route.hostnames.iter().filter_map(|it| it.clone().ok());
    let mut compiled = Compiled {
        hostnames: hostnames.collect(),
        services: services(route),
        ..Compiled::default()
    };
    if let Some(message) = unusable(route) {
        compiled.refused = Some(Problem::new(Reason::UnsupportedValue, message));
        return compiled;
    }
    let mut dropped = Vec::new();
    for (index, rule) in route.rules.iter().enumerate() {
        let problems = compile_rule(route, index, rule, resolver, &mut compiled);
        if !problems.is_empty() {
            dropped.push(format!("rule {index}: {}", problems.join(", ")));
        }
    }
    let message = format!("{}; answered with 500", dropped.join("; "));
    if dropped.len() == route.rules.len() {
        compiled.refused = Some(Problem::new(Reason::UnsupportedValue, message));
    } else if !dropped.is_empty() {
        // Gateway API: the message of PartiallyInvalid must start with these words.
        compiled.partial = Some(format!("Dropped Rule: {message}"));
    }
    compiled
}

/// What makes a route as a whole one that the API server would not take.
fn unusable(route: &Route<HttpRule>) -> Option<String> {
    if let Some(message) = route.hostnames.iter().find_map(|it| it.as_ref().err()) {
        return Some(message.clone());
    }
    if route.rules.is_empty() {
        return Some("the route has no rules".to_owned());
    }
    let mut seen = BTreeSet::new();
    let mut names = route.rules.iter().filter_map(|rule| rule.name.as_deref());
    let repeated = names.find(|name| !seen.insert(*name))?;
    Some(format!("two rules of the route have the name {repeated}"))
}

fn services(route: &Route<HttpRule>) -> BTreeSet<ObjectName> {
    let mut references: Vec<&BackendRef> = Vec::new();
    for rule in &route.rules {
        references.extend(rule.backends.iter().map(|it| &it.reference));
        let filters = rule.backends.iter().flat_map(|it| &it.filters);
        references.extend(
            filters
                .chain(&rule.filters)
                .filter_map(|filter| filter.as_ref().ok()?.backend()),
        );
    }
    let services = references.into_iter().filter(|it| it.target.is_service());
    services.map(|it| it.target.name.clone()).collect()
}

/// Adds a rule's entries; gives what of it is not served.
fn compile_rule(
    route: &Route<HttpRule>,
    index: usize,
    rule: &HttpRule,
    resolver: &mut Resolver<'_>,
    compiled: &mut Compiled,
) -> Vec<String> {
    let (kind, purpose) = if route.kind == Kind::GrpcRoute {
        (RouteKind::Grpc, Purpose::Calls)
    } else {
        (RouteKind::Http, Purpose::Requests)
    };
    let referrer = Referrer {
        kind: route.kind,
        name: &route.meta.name,
        purpose,
    };
    let unresolved = &mut compiled.unresolved;
    let chain = filter_chain::compile(&rule.filters, referrer, resolver, unresolved);
    let mut problems = chain.problems.clone();
    problems.extend(rule_problems(rule, &chain));
    let whole = problems.is_empty();
    let mut backends = Vec::with_capacity(rule.backends.len());
    for backend in &rule.backends {
        let own = filter_chain::compile(&backend.filters, referrer, resolver, unresolved);
        let mut own_problems = own.problems.clone();
        if own.replaces_prefix() && !filter_chain::has_one_prefix(&rule.matches) {
            own_problems.push(ONE_PREFIX.to_owned());
        }
        let filters = own_problems.is_empty().then_some(own.filters);
        let (weighted, problem) = weighted(backend, filters, referrer, resolver);
        unresolved.extend(problem);
        backends.push(weighted);
        let name = &backend.reference.target.name;
        problems.extend(
            own_problems
                .iter()
                .map(|it| format!("backendRef {name}: {it}")),
        );
    }
    let id = RuleId {
        route: RouteName {
            kind: route.kind.as_str().to_owned(),
            object: route.meta.name.clone(),
        },
        index,
        name: rule.name.clone(),
    };
    let built = Arc::new(Rule {
        filters: if whole { chain.filters } else { Vec::new() },
        backends: if whole { backends } else { refuse_all() },
        id,
        kind,
        timeouts: rule
            .timeouts
            .clone()
            .unwrap_or_else(|_| Timeouts::default()),
        retry: rule.retry.clone().unwrap_or_default(),
        persistence: rule.persistence.clone().unwrap_or_default(),
    });
    let matches = rule.matches.iter().enumerate();
    let matches = matches.filter_map(|(index, it)| Some((index, it.as_ref().ok()?)));
    let created = route.meta.created.as_deref();
    let entry = |index, it: &Match| Entry::new(it.clone(), created, Arc::clone(&built), index);
    let entries = matches.map(|(index, it)| Arc::new(entry(index, it)));
    compiled.entries.extend(entries);
    problems
}

const ONE_PREFIX: &str = "ReplacePrefixMatch needs a rule with exactly one match, a PathPrefix";

/// What of a rule is wrong beside its single filters.
fn rule_problems(rule: &HttpRule, chain: &Chain) -> Vec<String> {
    let matches = rule.matches.iter().filter_map(|it| it.as_ref().err());
    let weights = rule.backends.iter();
    let weights = weights.filter_map(|it| it.reference.weight.as_ref().err());
    let policies = [
        rule.timeouts.as_ref().err(),
        rule.retry.as_ref().err(),
        rule.persistence.as_ref().err(),
    ];
    let all = matches.chain(weights).chain(policies.into_iter().flatten());
    let mut problems: Vec<String> = all.cloned().collect();
    if chain.redirects() && !rule.backends.is_empty() {
        problems.push("filter RequestRedirect and backendRefs exclude each other".to_owned());
    }
    if chain.replaces_prefix() && !filter_chain::has_one_prefix(&rule.matches) {
        problems.push(ONE_PREFIX.to_owned());
    }
    problems
}

/// A backend with its filters; none: they can not be served.
fn weighted(
    backend: &HttpBackendRef,
    filters: Option<Vec<Filter>>,
    referrer: Referrer<'_>,
    resolver: &mut Resolver<'_>,
) -> (WeightedBackend, Option<Problem>) {
    let (target, problem) = match resolver.resolve(referrer, &backend.reference) {
        Ok(_found) if filters.is_none() => (Target::Invalid(InvalidBackend::Unsupported), None),
        Ok(found) => (Target::Backend(found), None),
        Err(refusal) => (Target::Invalid(refusal.invalid), refusal.problem),
    };
    let weighted = WeightedBackend {
        weight: *backend.reference.weight.as_ref().unwrap_or(&0),
        target,
        filters: filters.unwrap_or_default(),
    };
    (weighted, problem)
}

fn refuse_all() -> Vec<WeightedBackend> {
    vec![WeightedBackend {
        weight: 1,
        target: Target::Invalid(InvalidBackend::Unsupported),
        filters: Vec::new(),
    }]
}
