//! An object as the API server sends it, and of it only what is read here. kube's own type for objects of any kind reads each
//! twice, and all of `managedFields`.
//!
//! A list of thousands is read into these, so what one of them takes is memory that an agent needs once, at its start.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    FieldsV1, ManagedFieldsEntry, OwnerReference, Time,
};
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope, ObjectMeta};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};

/// An object of any kind.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) metadata: ObjectMeta,
    /// The fields beside the metadata and the type, which is known.
    pub(super) data: Map<String, Value>,
}

/// What is read of an object's metadata.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    managed_fields: Option<Vec<Managed>>,
}

/// What is read of an entry of `managedFields`: whose labels and annotations they are.
#[derive(Debug, serde::Deserialize)]
struct Managed {
    manager: Option<String>,
    #[serde(rename = "fieldsV1")]
    fields: Option<Fields>,
}

#[derive(Debug, serde::Deserialize)]
struct Fields {
    #[serde(rename = "f:metadata")]
    metadata: Option<Value>,
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Whole)
    }
}

/// Reads an object field by field.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of the Kubernetes API")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<Given, M::Error> {
        let mut given = Given {
            metadata: ObjectMeta::default(),
            data: Map::new(),
        };
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "apiVersion" | "kind" => {
                    fields.next_value::<IgnoredAny>()?;
                }
                "metadata" => given.metadata = fields.next_value::<Metadata>()?.into(),
                _ => {
                    given.data.insert(name, fields.next_value()?);
                }
            }
        }
        Ok(given)
    }
}

impl From<Metadata> for ObjectMeta {
    fn from(read: Metadata) -> Self {
        let managed = read.managed_fields.map(|it| it.into_iter());
        Self {
            name: read.name,
            namespace: read.namespace,
            uid: read.uid,
            resource_version: read.resource_version,
            generation: read.generation,
            creation_timestamp: read.creation_timestamp,
            labels: read.labels,
            annotations: read.annotations,
            owner_references: read.owner_references,
            managed_fields: managed.map(|it| it.map(ManagedFieldsEntry::from).collect()),
            ..Self::default()
        }
    }
}

impl From<Managed> for ManagedFieldsEntry {
    fn from(read: Managed) -> Self {
        let metadata = read.fields.and_then(|it| it.metadata);
        Self {
            manager: read.manager,
            fields_v1: metadata.map(|it| FieldsV1(json!({"f:metadata": it}))),
            ..Self::default()
        }
    }
}

// === impl Given ===

impl Resource for Given {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::service::SeenService;

    #[test]
    fn type_and_fields_of_others_are_read_past() {
        let given: Given = serde_json::from_value(service()).expect("an object");
        let names: Vec<_> = given.data.keys().collect();
        assert_eq!(names, ["spec", "status"]);
        let managed = given.metadata.managed_fields.expect("they are read");
        let fields: Vec<_> = managed.into_iter().map(|it| it.fields_v1).collect();
        let labels = FieldsV1(json!({"f:metadata": {"f:labels": {"f:ours": {}}}}));
        assert_eq!(fields, [Some(labels), None, None]);
    }

    #[test]
    fn a_service_of_a_gateway_is_seen_as_in_full() {
        let full: ObjectMeta = serde_json::from_value(service()["metadata"].clone()).expect("full");
        let given: Given = serde_json::from_value(service()).expect("an object");
        let seen = SeenService::of(&given.metadata);
        assert!(seen.is_some());
        assert_eq!(seen, SeenService::of(&full));
    }

    fn service() -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "sanmon-web",
                "namespace": "shop",
                "uid": "1",
                "resourceVersion": "7",
                "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "finalizers": ["x"],
                "labels": {"ours": "a", "theirs": "b"},
                "annotations": {"theirs": "c"},
                "ownerReferences": [{
                    "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "web",
                    "uid": "2", "controller": true,
                }],
                "managedFields": [
                    {"manager": "sanmon", "operation": "Update", "fieldsType": "FieldsV1",
                     "fieldsV1": {"f:metadata": {"f:labels": {"f:ours": {}}}, "f:spec": {"f:ports": {}}}},
                    {"manager": "other", "fieldsV1": {"f:spec": {"f:type": {}}}},
                    {},
                ],
            },
            "spec": {"type": "ClusterIP"},
            "status": {},
        })
    }
}
