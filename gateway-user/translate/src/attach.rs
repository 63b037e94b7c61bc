//! Which listeners a route attaches to, and why not.

use std::collections::BTreeMap;

use gateway_ir::{HostPattern, ObjectName};

use crate::conv::meta::namespace_labels;
use crate::conv::reference::GATEWAY_GROUP;
use crate::inputs::Inputs;
use crate::listener::{GatewayState, ListenerState, Owner};
use crate::model::Problem;
use crate::status::{Kind, ParentReference, Reason};

/// What attachment asks of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) kind: Kind,
    pub(crate) namespace: &'a str,
    /// Empty: every name.
    pub(crate) hostnames: &'a [HostPattern],
}

/// A listener, by its place in its Gateway, and the route's hostnames that it covers.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) listener: usize,
    pub(crate) hostnames: Vec<HostPattern>,
}

/// The parents that routes may name, beside the Gateways: the Gateway of each ListenerSet.
#[derive(Debug)]
pub(crate) struct Parents {
    sets: BTreeMap<ObjectName, ObjectName>,
}

impl Parents {
    pub(crate) fn new(gateways: &BTreeMap<ObjectName, GatewayState>) -> Self {
        let sets = gateways.iter().flat_map(|(name, gateway)| {
            let sets = gateway.sets.iter();
            sets.map(|set| (set.meta.name.clone(), name.clone()))
        });
        Self {
            sets: sets.collect(),
        }
    }

    /// The Gateway and the owner of the listeners that a parentRef means, if they are ours.
    pub(crate) fn find(
        &self,
        reference: &ParentReference,
        gateways: &BTreeMap<ObjectName, GatewayState>,
    ) -> Option<(ObjectName, Owner)> {
        let name = &reference.name;
        if reference.group != GATEWAY_GROUP {
            None
        } else if reference.kind == Kind::Gateway.as_str() {
            let ours = gateways.contains_key(name);
            ours.then(|| (name.clone(), Owner::Gateway))
        } else if reference.kind == Kind::ListenerSet.as_str() {
            let gateway = self.sets.get(name)?;
            Some((gateway.clone(), Owner::Set(name.clone())))
        } else {
            None
        }
    }
}

/// Attaches a route to the listeners of a Gateway or ListenerSet that one of its parentRefs means.
///
/// The hostnames are the route's own, not the intersections: which requests a listener owns is decided before, and
/// between routes the one with the more specific hostname of its own has precedence.
pub(crate) fn attach(
    route: Candidate<'_>,
    reference: &ParentReference,
    gateway: &GatewayState,
    owner: &Owner,
    inputs: &Inputs,
) -> Result<Vec<Attachment>, Problem> {
    let listeners = gateway.listeners.iter().enumerate();
    let named: Vec<_> = listeners
        .filter(|(_, it)| it.owner == *owner && is_meant(it, reference))
        .collect();
    if named.is_empty() {
        return Err(Problem::new(Reason::NoMatchingParent, no_parent(reference)));
    }
    let labels = namespace_labels(inputs, route.namespace);
    // Gateway API: `Same` is the namespace of the object that has the listener.
    let own = match owner {
        Owner::Gateway => &gateway.model.meta.name.namespace,
        Owner::Set(set) => &set.namespace,
    };
    let open: Vec<_> = named
        .iter()
        .filter(|(_, it)| {
            // Gateway API: whether the listener itself is accepted does not matter to attachment.
            it.supported.contains(&route.kind)
                && it.model.namespaces.allow(own, route.namespace, &labels)
        })
        .collect();
    if open.is_empty() {
        let listeners = named.iter().map(|(_, it)| *it);
        return Err(Problem::new(
            Reason::NotAllowedByListeners,
            not_allowed(route, listeners),
        ));
    }
    let attachments: Vec<Attachment> = open
        .into_iter()
        .filter_map(|(index, it)| {
            Some(Attachment {
                listener: *index,
                hostnames: covered(it, route.hostnames)?,
            })
        })
        .collect();
    if attachments.is_empty() {
        let message = "no hostname of the route is covered by a listener";
        return Err(Problem::new(Reason::NoMatchingListenerHostname, message));
    }
    Ok(attachments)
}

fn is_meant(listener: &ListenerState, reference: &ParentReference) -> bool {
    let by_name = reference
        .section_name
        .as_ref()
        .is_none_or(|name| *name == listener.model.name);
    let by_port = reference
        .port
        .is_none_or(|port| listener.model.port == Ok(port));
    by_name && by_port
}

fn no_parent(reference: &ParentReference) -> String {
    let section = reference
        .section_name
        .as_ref()
        .map(|name| format!(" named {name}"));
    let port = reference.port.map(|port| format!(" on port {port}"));
    format!(
        "{} {} has no listener{}{}",
        reference.kind,
        reference.name,
        section.unwrap_or_default(),
        port.unwrap_or_default()
    )
}

fn not_allowed<'a>(
    route: Candidate<'_>,
    listeners: impl Iterator<Item = &'a ListenerState>,
) -> String {
    let why = listeners.map(|it| {
        let name = &it.model.name;
        if it.supported.contains(&route.kind) {
            format!(
                "listener {name} is not open to namespace {}",
                route.namespace
            )
        } else {
            format!("listener {name} does not take {}", route.kind)
        }
    });
    why.collect::<Vec<_>>().join("; ")
}

/// The route's hostnames that have something in common with the listener's; none: it does not attach.
fn covered(listener: &ListenerState, hostnames: &[HostPattern]) -> Option<Vec<HostPattern>> {
    let own = listener.model.hostname.as_ref().ok()?;
    if hostnames.is_empty() {
        return Some(vec![HostPattern::Any]);
    }
    let covered = hostnames.iter().filter(|it| it.intersection(own).is_some());
    let mut covered: Vec<HostPattern> = covered.cloned().collect();
    covered.sort();
    covered.dedup();
    (!covered.is_empty()).then_some(covered)
}
