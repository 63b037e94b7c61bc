//! What the announcer is told: how it runs, and what exists. Values, and what follows from them at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::{
    AddressRange, AnnounceSettings, ConflictPolicy, Interface, NodeName, Pool, Service,
    ServiceTarget, Vip, WeightedEndpoint,
};

use crate::membership::heartbeat::{NodeId, Serving};
use crate::membership::terms::Terms;
use crate::ownership::Reason;

/// The first so many nodes by name vote.
const VOTERS_MAX: usize = 5;

/// How the announcer runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This node's name.
    pub node: NodeName,
    /// How long an answer stays in force without renewal where no other node waits for it.
    pub lease: Duration,
    /// The time of day when the monotonic clock was zero: a later life of the process is known by it.
    pub epoch: Duration,
    /// What is done before an address is used that none of our nodes had.
    pub first_use: Caution,
}

/// What is done before an address is used that none of our nodes had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caution {
    /// It is asked whether another machine has it (RFC 5227 §2.1, RFC 4862 §5.4).
    Probe,
    /// Nothing.
    None,
}

impl Settings {
    /// The defaults for a node: a lease of 1 s where it is alone.
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            lease: Duration::from_secs(1),
            epoch: Duration::ZERO,
            first_use: Caution::Probe,
        }
    }

    /// The lengths of a node that is its own majority.
    pub(super) fn alone(&self) -> Terms {
        Terms {
            beat: self.lease / 4,
            lease: self.lease,
        }
    }
}

/// What exists right now.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The addresses that some node has to answer for.
    pub vips: &'a [Vip],
    /// The pools that they come from.
    pub pools: &'a [Pool],
    /// What the addresses lead to.
    pub services: &'a [Service],
    /// The interfaces of this node that are up and have gate 1's program attached.
    pub interfaces: &'a [Interface],
    /// The nodes that might answer as well; this node's own name in it does not count.
    pub peers: &'a [NodeName],
    /// How nodes agree on owners, and what neighbours are told.
    pub rules: &'a AnnounceSettings,
    /// Whom one of two nodes asks when it does not hear the other: routers and other machines of the LAN.
    pub witnesses: &'a [IpAddr],
    /// How this node takes part in heartbeats; none: it can not, because there is no key.
    pub part: Option<Part>,
}

/// What a node says of itself in its heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whether it should answer for addresses.
    pub serving: Serving,
    /// The configuration that it runs.
    pub generation: u64,
}

/// Those that vote: the ones that the configuration names, as far as they exist, else the first by name.
pub(super) fn voters(names: &BTreeSet<&NodeName>, wanted: &[NodeName]) -> BTreeSet<NodeId> {
    let named = names.iter().filter(|name| wanted.contains(name));
    let named: BTreeSet<NodeId> = named
        .take(VOTERS_MAX)
        .map(|name| NodeId::of(name))
        .collect();
    if named.is_empty() {
        let first = names.iter().take(VOTERS_MAX);
        return first.map(|name| NodeId::of(name)).collect();
    }
    named
}

/// The addresses that Gateways give up when another machine has them.
pub(super) fn movable(view: View<'_>) -> Vec<AddressRange> {
    match view.rules.conflicts {
        ConflictPolicy::Reallocate => {
            let ranges = view.pools.iter().flat_map(|pool| &pool.ranges);
            ranges.copied().collect()
        }
        ConflictPolicy::Defend | ConflictPolicy::Yield => Vec::new(),
    }
}

/// The interfaces on which a node may answer for a VIP.
pub(super) fn seats(vip: &Vip, view: View<'_>) -> Result<Vec<Interface>, Reason> {
    let pool = view
        .pools
        .iter()
        .find(|pool| pool.name == vip.pool)
        .ok_or(Reason::UnknownPool)?;
    let interfaces: Vec<Interface> = view
        .interfaces
        .iter()
        .filter(|interface| match pool.interfaces.as_slice() {
            [] => interface.reaches(vip.address),
            named => named.contains(&interface.name),
        })
        .cloned()
        .collect();
    if interfaces.is_empty() {
        return Err(Reason::NoInterface);
    }
    Ok(interfaces)
}

/// Who should answer for an address, as far as that is not the same on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The nodes that have endpoints of most of its services.
    pub(super) favoured: BTreeSet<NodeId>,
    /// Those that could serve nothing.
    pub(super) barred: BTreeSet<NodeId>,
}

/// Where an address belongs; none: every node has endpoints of the same services. Gate 2 reaches those of its own node
/// only; gate 3 is the same on every node, so no node is of no use to an address that leads there as well.
pub(super) fn place(
    names: &BTreeSet<&NodeName>,
    vip: IpAddr,
    services: &[Service],
) -> Option<Place> {
    let services = services.iter().filter(|it| it.vip == vip);
    let (mut steered, mut is_proxied) = (Vec::new(), false);
    for service in services {
        match &service.target {
            ServiceTarget::Endpoints { endpoints, .. } => steered.push(endpoints),
            ServiceTarget::Proxy => is_proxied = true,
        }
    }
    let serves = |node: &NodeName| {
        let has_own = |endpoints: &&&Vec<WeightedEndpoint>| {
            let mut wanted = endpoints.iter().filter(|it| it.weight > 0);
            wanted.any(|it| it.node.as_ref().is_none_or(|at| at == node))
        };
        steered.iter().filter(has_own).count()
    };
    let counts: Vec<(usize, NodeId)> = names
        .iter()
        .map(|name| (serves(name), NodeId::of(name)))
        .collect();
    let most = counts.iter().map(|it| it.0).max()?;
    let of = |count: usize| -> BTreeSet<NodeId> {
        let same = counts.iter().filter(|it| it.0 == count);
        same.map(|it| it.1).collect()
    };
    let favoured = of(most);
    let barred = if is_proxied { BTreeSet::new() } else { of(0) };
    (favoured.len() < names.len()).then_some(Place { favoured, barred })
}
