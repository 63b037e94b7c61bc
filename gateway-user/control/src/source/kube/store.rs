//! The objects that the API server has told of: pure, events in, [`Content`] out.
//!
//! What only other programs read is dropped on the way in. A form that cannot be read changes nothing: the last good one
//! stays.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use gateway_ir::ObjectName;
use gateway_translate::{Inputs, Kind, Object, ObjectKey};
use kube::core::{ApiResource, ObjectMeta};
use serde_json::{Map, Value, json};

use super::Shown;
use super::given::Given;
use super::reference::references;
use super::trim;
use crate::infrastructure::service::SeenService;
use crate::seen_status::Seen;
use crate::status::merge;
use crate::{Content, Problem, Severity};

/// Where a problem is that has no file.
const PLACE: &str = "cluster";

/// All objects, and what is wrong with some.
#[derive(Debug, Default)]
pub(super) struct Store {
    inputs: Inputs,
    /// Of everything that the translation reads of an object.
    hashes: BTreeMap<ObjectKey, u64>,
    /// Of the objects that name Secrets and the like.
    references: BTreeMap<ObjectKey, References>,
    /// Of the objects that cannot be read.
    problems: BTreeMap<ObjectKey, String>,
    shown: Shown,
    changed: bool,
}

/// What an object names.
#[derive(Debug)]
struct References {
    /// The class of a Gateway.
    class: Option<String>,
    objects: BTreeSet<ObjectKey>,
}

impl Store {
    /// Starts empty.
    pub(super) fn new(shown: Shown) -> Self {
        Self {
            shown,
            ..Self::default()
        }
    }

    /// Takes over an object's newest form.
    pub(super) fn apply(
        &mut self,
        kind: Kind,
        resource: &Arc<ApiResource>,
        object: Given,
    ) -> ObjectKey {
        let Given { metadata, mut data } = object;
        let key = key_of(kind, &metadata);
        if merge::has_status(kind) {
            let status = data.get("status").unwrap_or(&Value::Null);
            let uid = metadata.uid.clone().unwrap_or_default();
            let version = metadata.resource_version.clone().unwrap_or_default();
            let seen = Seen::new(Arc::clone(resource), uid, version, status);
            self.shown.statuses.set(key.clone(), seen);
        }
        if kind == Kind::Service {
            match SeenService::of(&metadata) {
                Some(seen) => drop(self.shown.services.set(key.clone(), seen)),
                None => self.shown.services.remove(&key),
            }
        }
        trim::data(kind, &mut data);
        let value = whole(resource, &trim::metadata(kind, metadata), data);
        let hash = hash_of(&value);
        if self.hashes.insert(key.clone(), hash) == Some(hash) {
            return key;
        }
        let objects = references(&value, &key.name.namespace);
        if objects.is_empty() {
            self.references.remove(&key);
        } else {
            let class = class_of(kind, &value);
            self.references
                .insert(key.clone(), References { class, objects });
        }
        match Object::from_value(kind.as_str(), &resource.api_version, value) {
            Ok(object) => {
                self.problems.remove(&key);
                self.inputs.insert(object);
            }
            Err(error) => {
                let source = std::error::Error::source(&error);
                let why = source.map_or_else(|| error.to_string(), ToString::to_string);
                let problem = format!("cannot be read, its last good form counts: {why}");
                self.problems.insert(key.clone(), problem);
            }
        }
        self.changed = true;
        key
    }

    /// Forgets an object.
    pub(super) fn remove(&mut self, key: &ObjectKey) {
        self.shown.statuses.remove(key);
        self.shown.services.remove(key);
        self.references.remove(key);
        self.problems.remove(key);
        if self.hashes.remove(key).is_some() {
            self.inputs.remove(key);
            self.changed = true;
        }
    }

    /// Forgets the objects of a kind that are not listed any more.
    pub(super) fn retain(&mut self, kind: Kind, listed: &BTreeSet<ObjectKey>) {
        let gone = self.hashes.keys().filter(|it| it.kind == kind);
        let gone: Vec<_> = gone.filter(|it| !listed.contains(it)).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// The Secrets and ConfigMaps that are to be watched: those that Gateways of our classes and other objects name.
    pub(super) fn referenced(&self, controller: &str) -> BTreeSet<ObjectKey> {
        let references = self.references.values().filter(|it| match &it.class {
            Some(class) => self.is_ours(class, controller),
            None => true,
        });
        references.flat_map(|it| it.objects.clone()).collect()
    }

    fn is_ours(&self, class: &str, controller: &str) -> bool {
        let class = self.inputs.gateway_classes.get(&ObjectName::new("", class));
        class.is_some_and(|it| it.spec.controller_name == controller)
    }

    /// Everything but the key of the heartbeats, if something has changed since the last time.
    pub(super) fn take_changed(&mut self, problems: &BTreeSet<Problem>) -> Option<Content> {
        std::mem::take(&mut self.changed).then(|| Content {
            inputs: self.inputs.clone(),
            membership_key: None,
            problems: self.problems(problems),
        })
    }

    /// Says that the content is new although no object is.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    fn problems(&self, others: &BTreeSet<Problem>) -> Vec<Problem> {
        let own = self.problems.iter().map(|(key, message)| Problem {
            object: Some(key.to_string()),
            ..problem(message.clone())
        });
        let mut problems: Vec<_> = own.chain(others.iter().cloned()).collect();
        problems.sort();
        problems
    }
}

/// A fault of the cluster's, or of our rights in it.
pub(super) fn problem(message: impl Into<String>) -> Problem {
    Problem {
        severity: Severity::Error,
        ..Problem::of_file(PLACE, message)
    }
}

/// Kind and name of an object.
pub(super) fn key_of(kind: Kind, metadata: &ObjectMeta) -> ObjectKey {
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    ObjectKey {
        kind,
        name: ObjectName::new(namespace, name),
    }
}

/// The object as it is in a manifest.
fn whole(resource: &ApiResource, metadata: &ObjectMeta, mut fields: Map<String, Value>) -> Value {
    let metadata = serde_json::to_value(metadata).unwrap_or_default();
    fields.insert("apiVersion".to_owned(), json!(resource.api_version));
    fields.insert("kind".to_owned(), json!(resource.kind));
    fields.insert("metadata".to_owned(), metadata);
    Value::Object(fields)
}

fn class_of(kind: Kind, value: &Value) -> Option<String> {
    let class = value.pointer("/spec/gatewayClassName");
    let class = class.and_then(Value::as_str).unwrap_or_default();
    (kind == Kind::Gateway).then(|| class.to_owned())
}

fn hash_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
