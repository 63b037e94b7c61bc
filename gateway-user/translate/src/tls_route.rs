//! Rules of TLSRoutes, compiled.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_ir::{HostPattern, ObjectName, RouteName, RuleId, StreamProgram, WeightedBackend};

use crate::backend::{Purpose, Referrer, Resolver};
use crate::model::{L4Rule, Problem, Route};
use crate::status::Reason;

/// What a TLSRoute comes to, wherever it attaches.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    /// At least one.
    pub(crate) hostnames: Vec<HostPattern>,
    /// On listeners that end TLS.
    pub(crate) ended: Option<Arc<StreamProgram>>,
    /// On listeners that pass TLS through.
    pub(crate) passed: Option<Arc<StreamProgram>>,
    /// Why nothing of the route is served.
    pub(crate) refused: Option<Problem>,
    /// References that lead nowhere.
    pub(crate) unresolved: Vec<Problem>,
    /// The Services that it refers to.
    pub(crate) services: BTreeSet<ObjectName>,
}

pub(crate) fn compile(route: &Route<L4Rule>, resolver: &mut Resolver<'_>) -> Compiled {
    let mut compiled = Compiled::default();
    let rule = match check(route, &mut compiled.hostnames) {
        Ok(rule) => rule,
        Err(message) => {
            compiled.refused = Some(Problem::new(Reason::UnsupportedValue, message));
            return compiled;
        }
    };
    let services = rule.backends.iter().filter(|it| it.target.is_service());
    compiled.services = services.map(|it| it.target.name.clone()).collect();
    let passed = program(route, rule, Purpose::Connections, resolver);
    let ended = program(route, rule, Purpose::Streams, resolver);
    compiled.unresolved = ended.1;
    compiled.passed = Some(Arc::new(passed.0));
    compiled.ended = Some(Arc::new(ended.0));
    compiled
}

/// Finds the only rule, and everything in it as the API server would let it be.
fn check<'a>(
    route: &'a Route<L4Rule>,
    hostnames: &mut Vec<HostPattern>,
) -> Result<&'a L4Rule, String> {
    for hostname in &route.hostnames {
        hostnames.push(hostname.clone()?);
    }
    if hostnames.is_empty() {
        return Err("the route has no hostnames".to_owned());
    }
    let [rule] = route.rules.as_slice() else {
        // A connection has nothing but its name to choose a rule by (Gateway API: exactly one).
        let count = route.rules.len();
        return Err(format!("the route has {count} rules; it must have one"));
    };
    if rule.backends.is_empty() {
        return Err("the rule has no backendRefs".to_owned());
    }
    match rule.backends.iter().find_map(|it| it.weight.as_ref().err()) {
        Some(message) => Err(message.clone()),
        None => Ok(rule),
    }
}

fn program(
    route: &Route<L4Rule>,
    rule: &L4Rule,
    purpose: Purpose,
    resolver: &mut Resolver<'_>,
) -> (StreamProgram, Vec<Problem>) {
    let referrer = Referrer {
        kind: route.kind,
        name: &route.meta.name,
        purpose,
    };
    let mut unresolved = Vec::new();
    let backends = rule.backends.iter().map(|backend| WeightedBackend {
        weight: *backend.weight.as_ref().unwrap_or(&0),
        target: resolver.target(referrer, backend, &mut unresolved),
        filters: Vec::new(),
    });
    let program = StreamProgram {
        backends: backends.collect(),
        id: RuleId {
            route: RouteName {
                kind: route.kind.as_str().to_owned(),
                object: route.meta.name.clone(),
            },
            index: 0,
            name: rule.name.clone(),
        },
    };
    (program, unresolved)
}
