//! Rules of TCPRoutes and UDPRoutes: weighted endpoints in one scale.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_ir::{Backend, Endpoint, NodeName, Protocol, ServiceTarget, WeightedEndpoint};

use crate::backend::{Purpose, Referrer, Resolver};
use crate::model::{L4Rule, Problem, Route};
use crate::status::{Kind, Reason};

/// The sum of a service's weights never exceeds this: a Maglev table has at most 65,537 slots, so a finer scale changes nothing.
const SCALE_MAX: u128 = 1_000_000;

/// Nodes that a message names.
const NODES_SHOWN_MAX: usize = 5;

/// What a TCPRoute or UDPRoute comes to, wherever it attaches.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Weight and backend; none: its share is refused.
    pub(crate) shares: Vec<(u32, Option<Arc<Backend>>)>,
    /// Why nothing of the route is served.
    pub(crate) refused: Option<Problem>,
    /// References that lead nowhere.
    pub(crate) unresolved: Vec<Problem>,
}

pub(crate) fn compile(route: &Route<L4Rule>, resolver: &mut Resolver<'_>) -> Compiled {
    let mut compiled = Compiled {
        shares: Vec::new(),
        refused: None,
        unresolved: Vec::new(),
    };
    let invalid = |message: String| Some(Problem::new(Reason::UnsupportedValue, message));
    let [rule] = route.rules.as_slice() else {
        // Packets have nothing to choose a rule by (Gateway API: at most one).
        compiled.refused = invalid(format!(
            "the route has {} rules; it must have one",
            route.rules.len()
        ));
        return compiled;
    };
    if rule.backends.is_empty() {
        compiled.refused = invalid("the rule has no backendRefs".to_owned());
    }
    for backend in &rule.backends {
        let referrer = Referrer {
            kind: route.kind,
            name: &route.meta.name,
            purpose: if route.kind == Kind::UdpRoute {
                Purpose::Datagrams
            } else {
                Purpose::Connections
            },
        };
        let found = resolver.resolve(referrer, backend);
        let found = found
            .map_err(|refusal| compiled.unresolved.extend(refusal.problem))
            .ok();
        match &backend.weight {
            Ok(weight) => compiled.shares.push((*weight, found)),
            Err(message) => compiled.refused = invalid(message.clone()),
        }
    }
    compiled
}

/// What of the endpoints is not used at a time, if they are on several nodes: each node steers to its own.
pub(crate) fn unused(shares: &[(u32, Option<Arc<Backend>>)]) -> Option<String> {
    let shares = shares.iter().filter(|(weight, _)| *weight > 0);
    let endpoints = shares
        .flat_map(|(_, backend)| backend)
        .flat_map(|it| &it.endpoints.endpoints);
    let nodes: BTreeSet<&str> = endpoints
        .filter_map(|it| Some(it.node.as_ref()?.0.as_str()))
        .collect();
    let (count, mut names) = (nodes.len(), nodes.into_iter());
    let mut shown: Vec<&str> = names.by_ref().take(NODES_SHOWN_MAX).collect();
    if names.next().is_some() {
        shown.push("…");
    }
    (count > 1).then(|| {
        format!(
            "endpoints are on {count} nodes ({}), and only those on the node that has the address get new flows",
            shown.join(", ")
        )
    })
}

/// Which addresses a frontend can be steered to: those of its own family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    fn has(self, address: SocketAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// The endpoints of a frontend. A backend's share is its weight over the sum of all weights, however many endpoints
/// it has; the share of one that is invalid or has no endpoint is refused. Endpoints without a share keep their flows.
pub(crate) fn target(
    shares: &[(u32, Option<Arc<Backend>>)],
    family: Family,
    protocol: Protocol,
) -> ServiceTarget {
    let kept = kept(shares, family, protocol);
    let fits = |endpoint: &&Endpoint| family.has(endpoint.address);
    let shares: Vec<(u128, Vec<&Endpoint>)> = shares
        .iter()
        .map(|(weight, backend)| {
            let all = backend
                .iter()
                .flat_map(|backend| &backend.endpoints.endpoints);
            (u128::from(*weight), all.filter(fits).collect())
        })
        .collect();
    let counts = shares.iter().map(|(_, endpoints)| endpoints.len() as u128);
    // Capped: from there on the rounding below decides.
    let scale = counts
        .filter(|count| *count > 0)
        .fold(1, |scale, count| lcm(scale, count).min(1 << 64));
    let mut weights: BTreeMap<SocketAddr, (u128, Option<NodeName>)> = BTreeMap::new();
    let mut refused: u128 = 0;
    for (weight, endpoints) in shares {
        if endpoints.is_empty() {
            refused += weight * scale;
        }
        for endpoint in &endpoints {
            weights
                .entry(endpoint.address)
                .or_insert((0, endpoint.node.clone()))
                .0 += weight * scale / endpoints.len() as u128;
        }
    }
    // All weights 0: nothing is asked for, so everything is refused (as 500 is in HTTP).
    if weights.values().all(|(weight, _)| *weight == 0) && refused == 0 {
        refused = 1;
    }
    for endpoint in kept {
        weights
            .entry(endpoint.address)
            .or_insert((0, endpoint.node.clone()));
    }
    let reduce = Reduction::new(weights.values().map(|(weight, _)| *weight).chain([refused]));
    ServiceTarget::Endpoints {
        endpoints: weights
            .into_iter()
            .map(|(address, (weight, node))| WeightedEndpoint {
                address,
                node,
                weight: reduce.apply(weight),
            })
            .collect(),
        refused: reduce.apply(refused),
    }
}

/// The endpoints that get nothing new: their flows stay, because a connection that ends elsewhere is one that breaks.
/// Datagrams stay only with those that serve: they have nothing to break, and would go on to reach nobody.
fn kept(
    shares: &[(u32, Option<Arc<Backend>>)],
    family: Family,
    protocol: Protocol,
) -> impl Iterator<Item = &Endpoint> {
    let backends = shares.iter().flat_map(|(_, backend)| backend);
    let endpoints = backends.flat_map(move |backend| {
        let set = &backend.endpoints;
        let unready = match protocol {
            Protocol::Tcp => set.unready.as_slice(),
            Protocol::Udp => &[],
        };
        set.ending.iter().chain(unready)
    });
    endpoints.filter(move |it| family.has(it.address))
}

/// Brings weights into the smallest scale that keeps their proportions.
struct Reduction {
    divisor: u128,
    sum: u128,
}

impl Reduction {
    fn new(weights: impl Iterator<Item = u128>) -> Self {
        let (divisor, sum) =
            weights.fold((0, 0), |(divisor, sum), it| (gcd(divisor, it), sum + it));
        Self {
            divisor: divisor.max(1),
            sum,
        }
    }

    /// A weight in the new scale; one that is not 0 never becomes 0.
    fn apply(&self, weight: u128) -> u32 {
        let exact = weight / self.divisor;
        let sum = self.sum / self.divisor;
        let scaled = if sum > SCALE_MAX {
            (weight * SCALE_MAX / self.sum).max(u128::from(weight > 0))
        } else {
            exact
        };
        u32::try_from(scaled).unwrap_or(u32::MAX)
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: u128, b: u128) -> u128 {
    a / gcd(a, b).max(1) * b
}

#[cfg(test)]
mod tests;
