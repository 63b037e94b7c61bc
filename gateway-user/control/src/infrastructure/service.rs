//! The Service of a Gateway, and what has to be done about it: pure, no client.
//!
//! Which labels and annotations are ours is what the API server has noted under our name (`managedFields`), so that a key
//! that leaves the Gateway leaves the Service, and what others have put there stays.

use std::collections::{BTreeMap, BTreeSet};

use gateway_ir::ObjectName;
use kube::core::ObjectMeta;
use serde_json::{Map, Value, json};

use crate::publish::Infrastructure;

/// The name under which the API server notes our fields.
pub(super) const FIELD_MANAGER: &str = "sanmon";
/// Gateway API: the label of everything that belongs to a Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Kubernetes: who looks after an object.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// What the Service's name begins with: a Service's name begins with a letter, a Gateway's need not.
const PREFIX: &str = "sanmon-";
/// Kubernetes: `metadata.name` of a Service and the value of a label have at most this many characters.
const CHARACTERS_MAX: usize = 63;
/// A dash and eight digits.
const SUFFIX_CHARACTERS: usize = 9;

/// A Service that was made for a Gateway, as the API server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenService {
    /// Its own identity.
    pub uid: String,
    /// The version that a write must be based on.
    pub resource_version: String,
    /// The identity of the Gateway that it was made for.
    pub owner: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// The labels that we have set.
    own_labels: BTreeSet<String>,
    /// The annotations that we have set.
    own_annotations: BTreeSet<String>,
}

impl SeenService {
    /// Takes a Service in; none: it was not made by us. That is seen by its owner, whose name gives it the name.
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        let owners = metadata.owner_references.iter().flatten();
        let mut gateways = owners.filter(|it| {
            it.controller == Some(true)
                && it.kind == "Gateway"
                && it.api_version.starts_with("gateway.networking.k8s.io/")
        });
        let owner = gateways.find(|it| metadata.name.as_ref() == Some(&name(&it.name)))?;
        Some(Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            owner: owner.uid.clone(),
            labels: metadata.labels.clone().unwrap_or_default(),
            annotations: metadata.annotations.clone().unwrap_or_default(),
            own_labels: noted(metadata, "f:labels"),
            own_annotations: noted(metadata, "f:annotations"),
        })
    }
}

/// The name of a Gateway's Service.
pub fn name(gateway: &str) -> String {
    let plain = gateway.replace('.', "-");
    if plain == gateway && PREFIX.len() + gateway.len() <= CHARACTERS_MAX {
        return format!("{PREFIX}{gateway}");
    }
    let rest = CHARACTERS_MAX - PREFIX.len();
    format!("{PREFIX}{}", shortened(&plain, gateway, rest))
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Make this object.
    Create(Value),
    /// Merge this into it.
    Patch(Value),
    /// Take it away: its Gateway is gone, or another one of the same name.
    Delete,
}

/// Compares what a Gateway's Service is to be with what it is.
pub(super) fn plan(
    wanted: Option<(&Infrastructure, &str)>,
    seen: Option<&SeenService>,
) -> Option<Action> {
    match (wanted, seen) {
        (None, None) => None,
        (None, Some(_)) => Some(Action::Delete),
        (Some((wanted, owner)), None) => Some(Action::Create(whole(wanted, owner))),
        (Some((_, owner)), Some(seen)) if seen.owner != owner => Some(Action::Delete),
        (Some((wanted, _)), Some(seen)) => patch(wanted, seen).map(Action::Patch),
    }
}

fn whole(wanted: &Infrastructure, owner: &str) -> Value {
    let ObjectName {
        namespace,
        name: gateway,
    } = &wanted.gateway;
    let owner = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "name": gateway,
        "uid": owner,
        "controller": true,
    });
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name(gateway),
            "namespace": namespace,
            "labels": labels(wanted),
            "annotations": wanted.annotations,
            "ownerReferences": [owner],
        },
        "spec": {"clusterIP": "None"},
    })
}

fn patch(wanted: &Infrastructure, seen: &SeenService) -> Option<Value> {
    let labels = difference(&labels(wanted), &seen.labels, &seen.own_labels);
    let annotations = difference(
        &wanted.annotations,
        &seen.annotations,
        &seen.own_annotations,
    );
    if labels.is_empty() && annotations.is_empty() {
        return None;
    }
    // The version makes sure that it is the object that was looked at.
    let metadata = json!({
        "resourceVersion": seen.resource_version,
        "labels": labels,
        "annotations": annotations,
    });
    Some(json!({"metadata": metadata}))
}

fn labels(wanted: &Infrastructure) -> BTreeMap<String, String> {
    let gateway = &wanted.gateway.name;
    let mut labels = wanted.labels.clone();
    labels.insert(GATEWAY_NAME.to_owned(), label_value(gateway));
    labels.insert(MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned());
    labels
}

/// What a merge has to say: new values, and null for keys of ours that are not wanted any more.
fn difference(
    wanted: &BTreeMap<String, String>,
    seen: &BTreeMap<String, String>,
    own: &BTreeSet<String>,
) -> Map<String, Value> {
    let set = wanted
        .iter()
        .filter(|(key, value)| seen.get(*key) != Some(value));
    let set = set.map(|(key, value)| (key.clone(), json!(value)));
    let gone = own.iter().filter(|key| seen.contains_key(*key));
    let gone = gone.filter(|key| !wanted.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    set.chain(gone).collect()
}

/// The keys of a map in the metadata that the API server has noted under our name.
fn noted(metadata: &ObjectMeta, field: &str) -> BTreeSet<String> {
    let entries = metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|it| it.manager.as_deref() == Some(FIELD_MANAGER));
    let fields = ours.filter_map(|it| it.fields_v1.as_ref()?.0.get("f:metadata")?.get(field));
    let keys = fields.filter_map(Value::as_object).flat_map(Map::keys);
    keys.filter_map(|key| key.strip_prefix("f:"))
        .map(str::to_owned)
        .collect()
}

fn label_value(gateway: &str) -> String {
    if gateway.len() <= CHARACTERS_MAX {
        return gateway.to_owned();
    }
    shortened(gateway, gateway, CHARACTERS_MAX)
}

/// The beginning of a text, and a hash of the whole name, which keeps apart what begins alike.
fn shortened(text: &str, whole: &str, characters: usize) -> String {
    let text: String = text.chars().take(characters - SUFFIX_CHARACTERS).collect();
    // FNV-1a: the same in every build.
    let hash = whole.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{text}-{hash:08x}")
}

#[cfg(test)]
mod tests;
