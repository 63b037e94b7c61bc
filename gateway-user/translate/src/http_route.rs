//! Rules of HTTPRoutes, compiled.
//!
//! A rule that can not be served is not left out: its requests would fall through to another rule, past a filter that
//! was meant to stop them. It keeps its matches and answers 500.

use std::sync::Arc;

use gateway_ir::{
    Entry, Filter, InvalidBackend, Match, Precedence, Rule, RuleId, Target, WeightedBackend,
};
use gateway_ir::{HostPattern, RouteName};

use crate::backend::Resolver;
use crate::model::{BackendRef, HttpRule, Problem, Route};
use crate::status::Reason;

/// What an HTTPRoute comes to, wherever it attaches.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The hostnames; empty: every name.
    pub(crate) hostnames: Vec<HostPattern>,
    /// In the order of the rules and their matches.
    pub(crate) entries: Vec<Entry>,
    /// Why nothing of the route is served.
    pub(crate) refused: Option<Problem>,
    /// Which rules are not served while others are.
    pub(crate) partial: Option<String>,
    /// References that lead nowhere.
    pub(crate) unresolved: Vec<Problem>,
}

pub(crate) fn compile(route: &Route<HttpRule>, resolver: &mut Resolver<'_>) -> Compiled {
    let mut compiled = Compiled {
        hostnames: route
            .hostnames
            .iter()
            .filter_map(|it| it.clone().ok())
            .collect(),
        entries: Vec::new(),
        refused: None,
        partial: None,
        unresolved: Vec::new(),
    };
    let unusable = route
        .hostnames
        .iter()
        .find_map(|it| it.as_ref().err().cloned());
    let unusable = unusable.or_else(|| {
        let empty = route.rules.is_empty();
        empty.then(|| "the route has no rules".to_owned())
    });
    if let Some(message) = unusable {
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

/// Adds a rule's entries; gives what of it is not served.
fn compile_rule(
    route: &Route<HttpRule>,
    index: usize,
    rule: &HttpRule,
    resolver: &mut Resolver<'_>,
    compiled: &mut Compiled,
) -> Vec<String> {
    let (filters, mut problems) = filters(rule);
    problems.extend(
        rule.unsupported
            .iter()
            .map(|field| format!("field {field} is not served")),
    );
    problems.extend(
        rule.matches
            .iter()
            .filter_map(|it| it.as_ref().err().cloned()),
    );
    problems.extend(
        rule.backends
            .iter()
            .filter_map(|it| it.weight.as_ref().err().cloned()),
    );
    let whole = problems.is_empty();
    let mut backends = Vec::new();
    for backend in &rule.backends {
        problems.extend(
            backend
                .unsupported
                .iter()
                .map(|filter| format!("{filter} is not served")),
        );
        backends.push(weighted(route, backend, resolver, &mut compiled.unresolved));
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
        filters: if whole { filters } else { Vec::new() },
        backends: if whole { backends } else { refuse_all() },
        id,
    });
    let matches = rule.matches.iter().enumerate();
    let matches = matches.filter_map(|(index, it)| Some((index, it.as_ref().ok()?)));
    let created = route.meta.created.as_deref();
    compiled
        .entries
        .extend(matches.map(|(index, it)| entry(&built, it, index, created)));
    problems
}

fn entry(rule: &Arc<Rule>, matches: &Match, match_index: usize, created: Option<&str>) -> Entry {
    Entry {
        precedence: Precedence::new(matches, created, &rule.id, match_index),
        matches: matches.clone(),
        match_index,
        rule: Arc::clone(rule),
    }
}

fn filters(rule: &HttpRule) -> (Vec<Filter>, Vec<String>) {
    let mut filters: Vec<Filter> = Vec::new();
    let mut problems = Vec::new();
    for filter in &rule.filters {
        match filter {
            // Gateway API: "MUST NOT be repeated within a filter chain".
            Ok(Filter::RequestHeaderModifier(_)) if !filters.is_empty() => {
                problems.push("filter RequestHeaderModifier is there twice".to_owned());
            }
            Ok(filter) => filters.push(filter.clone()),
            Err(problem) => problems.push(problem.clone()),
        }
    }
    (filters, problems)
}

fn weighted(
    route: &Route<HttpRule>,
    backend: &BackendRef,
    resolver: &mut Resolver<'_>,
    unresolved: &mut Vec<Problem>,
) -> WeightedBackend {
    let target = match resolver.resolve(route.kind, &route.meta.name, backend) {
        Ok(_found) if !backend.unsupported.is_empty() => {
            Target::Invalid(InvalidBackend::Unsupported)
        }
        Ok(found) => Target::Backend(found),
        Err(refusal) => {
            unresolved.push(refusal.problem);
            Target::Invalid(refusal.invalid)
        }
    };
    WeightedBackend {
        weight: *backend.weight.as_ref().unwrap_or(&0),
        target,
    }
}

fn refuse_all() -> Vec<WeightedBackend> {
    vec![WeightedBackend {
        weight: 1,
        target: Target::Invalid(InvalidBackend::Unsupported),
    }]
}
