//! What has to be written so that an object's status says what is wanted: pure, no client, no clock.
//!
//! Status is shared with other controllers. What they wrote is carried over as it is read, value for value: conditions
//! of types that are not ours, and entries of `parents` under another controller's name. Both lists are replaced as a
//! whole by a write (Gateway API: `listType=atomic` for parents), so a write is only safe with the resourceVersion
//! that its base was read with.

use gateway_translate::{
    Condition, ConditionType, Kind, ListenerStatus, ObjectStatus, ParentReference,
};
use serde_json::{Map, Value, json};

/// The group of everything that a status refers to.
const GROUP: &str = "gateway.networking.k8s.io";
/// Gateway API and Kubernetes: `Condition.message` has at most this many bytes.
const MESSAGE_BYTES_MAX: usize = 32_768;

/// Gateway API: `GatewayStatus.attachedListenerSets`.
const ATTACHED_SETS: &str = "attachedListenerSets";

/// Who writes, and when.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The controller's name.
    pub controller: &'a str,
    /// The time in RFC 3339: when what changes now has changed.
    pub now: &'a str,
    /// What a GatewayClass says that it supports, sorted.
    pub features: &'a [&'a str],
}

/// The fields of `status` that have to be replaced; none: what is there is right, or newer.
///
/// Without a wanted status the object is not ours (any more): only our entries in `parents` are withdrawn, as the rest
/// of the status belongs to the controller that the object has now.
pub fn merge(
    kind: Kind,
    current: &Value,
    wanted: Option<&ObjectStatus>,
    author: &Author<'_>,
) -> Option<Value> {
    let mut fields = Map::new();
    match (shape(kind), wanted) {
        (Shape::None, _)
        | (Shape::Conditions | Shape::Class | Shape::Gateway | Shape::Listeners, None) => {}
        (Shape::Entries(list), wanted) => {
            let merged = entries(list, current, wanted, author)?;
            fields.insert(list.field.to_owned(), merged);
        }
        (Shape::Conditions, Some(wanted)) => {
            fields.insert("conditions".to_owned(), own(current, wanted, author)?);
        }
        (Shape::Class, Some(wanted)) => {
            fields.insert("conditions".to_owned(), own(current, wanted, author)?);
            let features = author.features.iter().map(|name| json!({"name": name}));
            fields.insert("supportedFeatures".to_owned(), features.collect());
        }
        (Shape::Gateway, Some(wanted)) => {
            fields.insert("conditions".to_owned(), own(current, wanted, author)?);
            fields.insert("addresses".to_owned(), addresses(wanted));
            fields.insert("listeners".to_owned(), listeners(current, wanted, author)?);
            // Without ListenerSets there is nothing to count, unless there were some.
            let sets = wanted.attached_listener_sets;
            let counted = current.get(ATTACHED_SETS).map(|_| 0);
            if let Some(sets) = sets.or(counted) {
                fields.insert(ATTACHED_SETS.to_owned(), json!(sets));
            }
        }
        (Shape::Listeners, Some(wanted)) => {
            fields.insert("conditions".to_owned(), own(current, wanted, author)?);
            fields.insert("listeners".to_owned(), listeners(current, wanted, author)?);
        }
    }
    fields.retain(|name, value| current.get(name).unwrap_or(&Value::Array(Vec::new())) != value);
    (!fields.is_empty()).then_some(Value::Object(fields))
}

/// Tells whether a status has entries under a controller's name.
pub fn names_controller(status: &Value, controller: &str) -> bool {
    [PARENTS, ANCESTORS]
        .iter()
        .flat_map(|list| array(status, list.field))
        .any(|it| is_of(it, controller))
}

/// Tells whether objects of a kind have a status that is written.
pub fn has_status(kind: Kind) -> bool {
    shape(kind) != Shape::None
}

/// A list in a status whose entries belong to several controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct List {
    /// Its field in the status.
    field: &'static str,
    /// The field of an entry that names the other object.
    reference: &'static str,
    /// How many entries the API takes.
    entries_max: usize,
}

/// Gateway API: `RouteStatus.parents`.
const PARENTS: List = List {
    field: "parents",
    reference: "parentRef",
    entries_max: 32,
};

/// Gateway API: `PolicyStatus.ancestors`.
const ANCESTORS: List = List {
    field: "ancestors",
    reference: "ancestorRef",
    entries_max: 16,
};

/// Where a kind of object keeps its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// In `conditions`.
    Conditions,
    /// In `conditions`, beside the features.
    Class,
    /// In `conditions` and by listener.
    Gateway,
    /// In `conditions` and by listener, without addresses.
    Listeners,
    /// By another object and controller.
    Entries(List),
    /// Nothing of ours.
    None,
}

fn shape(kind: Kind) -> Shape {
    match kind {
        Kind::SanmonConfig | Kind::SanmonGatewayConfig => Shape::Conditions,
        Kind::GatewayClass => Shape::Class,
        Kind::Gateway => Shape::Gateway,
        Kind::ListenerSet => Shape::Listeners,
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => {
            Shape::Entries(PARENTS)
        }
        Kind::BackendTlsPolicy => Shape::Entries(ANCESTORS),
        Kind::ReferenceGrant
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::ClusterTrustBundle
        | Kind::Namespace
        | Kind::Node => Shape::None,
    }
}

/// The object's own conditions.
fn own(current: &Value, wanted: &ObjectStatus, author: &Author<'_>) -> Option<Value> {
    let current = array(current, "conditions");
    conditions(current, &wanted.conditions, wanted.generation, author)
}

/// Conditions of ours in the place where they are, foreign ones untouched, new ones last; none: somebody has seen a
/// newer generation of the object already.
fn conditions(
    current: &[Value],
    wanted: &[Condition],
    generation: i64,
    author: &Author<'_>,
) -> Option<Value> {
    let mut merged = Vec::with_capacity(current.len().max(wanted.len()));
    for condition in current {
        let kind = text(condition, "type");
        if !ConditionType::ALL.iter().any(|it| it.as_str() == kind) {
            merged.push(condition.clone());
            continue;
        }
        if observed(condition) > generation {
            return None;
        }
        if let Some(wanted) = wanted.iter().find(|it| it.kind.as_str() == kind) {
            merged.push(render(wanted, Some(condition), generation, author));
        }
    }
    for wanted in wanted {
        let kind = wanted.kind.as_str();
        if !current.iter().any(|it| text(it, "type") == kind) {
            merged.push(render(wanted, None, generation, author));
        }
    }
    Some(Value::Array(merged))
}

/// A condition as the API has it; its time is that of the last change of `status`.
fn render(wanted: &Condition, last: Option<&Value>, generation: i64, author: &Author<'_>) -> Value {
    let status = wanted.status.to_string();
    let last = last.filter(|it| text(it, "status") == status);
    let since = last.map_or(author.now, |it| text(it, "lastTransitionTime"));
    json!({
        "type": wanted.kind.as_str(),
        "status": status,
        "reason": wanted.reason.as_str(),
        "message": shorten(&wanted.message),
        "observedGeneration": generation,
        "lastTransitionTime": if since.is_empty() { author.now } else { since },
    })
}

fn addresses(wanted: &ObjectStatus) -> Value {
    let addresses = wanted.addresses.iter();
    addresses
        .map(|address| json!({"type": "IPAddress", "value": address.to_string()}))
        .collect()
}

fn listeners(current: &Value, wanted: &ObjectStatus, author: &Author<'_>) -> Option<Value> {
    let current = array(current, "listeners");
    let listeners = wanted.listeners.iter().map(|wanted_listener| {
        let last = current
            .iter()
            .find(|it| text(it, "name") == wanted_listener.name);
        listener(last, wanted_listener, wanted.generation, author)
    });
    listeners.collect()
}

fn listener(
    last: Option<&Value>,
    wanted: &ListenerStatus,
    generation: i64,
    author: &Author<'_>,
) -> Option<Value> {
    let last = last.map_or(&[][..], |it| array(it, "conditions"));
    let kinds = wanted.supported_kinds.iter();
    let kinds: Value = kinds
        .map(|kind| json!({"group": GROUP, "kind": kind.as_str()}))
        .collect();
    Some(json!({
        "name": wanted.name,
        "supportedKinds": kinds,
        "attachedRoutes": wanted.attached_routes,
        "conditions": conditions(last, &wanted.conditions, generation, author)?,
    }))
}

/// Entries of ours in the place where they are, those of other controllers untouched, new ones last.
fn entries(
    list: List,
    current: &Value,
    wanted: Option<&ObjectStatus>,
    author: &Author<'_>,
) -> Option<Value> {
    let current = array(current, list.field);
    let generation = wanted.map_or(0, |it| it.generation);
    let parents = wanted.iter().flat_map(|it| &it.parents);
    let parents = parents.map(|it| (&it.parent_ref, &it.conditions));
    let ancestors = wanted.iter().flat_map(|it| &it.ancestors);
    let ancestors = ancestors.map(|it| (&it.ancestor_ref, &it.conditions));
    let wanted: Vec<_> = parents.chain(ancestors).collect();
    let references: Vec<_> = wanted.iter().map(|(it, _)| reference(it)).collect();
    let mut written = vec![false; wanted.len()];
    let mut merged = Vec::with_capacity(current.len().max(wanted.len()));
    for entry in current {
        if !is_of(entry, author.controller) {
            merged.push(entry.clone());
            continue;
        }
        let position = references
            .iter()
            .position(|it| Some(it) == entry.get(list.reference));
        let place = position.and_then(|at| Some((at, wanted.get(at)?, written.get_mut(at)?)));
        // An entry that is there twice, or for a parent that the route does not name any more, goes.
        if let Some((at, (_, wanted), written)) = place
            && !*written
        {
            *written = true;
            let last = array(entry, "conditions");
            let conditions = conditions(last, wanted, generation, author)?;
            merged.push(list.entry(references.get(at)?, conditions, author));
        }
    }
    for (((_, wanted), reference), written) in wanted.iter().zip(&references).zip(&written) {
        if !written && merged.len() < list.entries_max {
            let conditions = conditions(&[], wanted, generation, author)?;
            merged.push(list.entry(reference, conditions, author));
        }
    }
    Some(Value::Array(merged))
}

impl List {
    fn entry(self, reference: &Value, conditions: Value, author: &Author<'_>) -> Value {
        json!({
            self.reference: reference,
            "controllerName": author.controller,
            "conditions": conditions,
        })
    }
}

/// A parent as the API has it.
fn reference(parent: &ParentReference) -> Value {
    let mut reference = Map::from_iter([
        ("group".to_owned(), json!(parent.group)),
        ("kind".to_owned(), json!(parent.kind)),
        ("namespace".to_owned(), json!(parent.name.namespace)),
        ("name".to_owned(), json!(parent.name.name)),
    ]);
    let section = parent
        .section_name
        .iter()
        .map(|it| ("sectionName", json!(it)));
    let port = parent.port.iter().map(|it| ("port", json!(it)));
    for (field, value) in section.chain(port) {
        reference.insert(field.to_owned(), value);
    }
    Value::Object(reference)
}

fn is_of(entry: &Value, controller: &str) -> bool {
    text(entry, "controllerName") == controller
}

fn observed(condition: &Value) -> i64 {
    let generation = condition.get("observedGeneration").and_then(Value::as_i64);
    generation.unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn array<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    let array = value.get(field).and_then(Value::as_array);
    array.map_or(&[], Vec::as_slice)
}

fn shorten(message: &str) -> &str {
    message
        .get(..message.floor_char_boundary(MESSAGE_BYTES_MAX))
        .unwrap_or(message)
}

#[cfg(test)]
mod tests;
