//! An object as the API server tells it.
//!
//! kube's own type for objects of any kind reads each twice, and all of `managedFields`; of thousands that is most of the
//! work of a start.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope, ObjectMeta};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// An object of any kind, of whose metadata `M` is read.
#[derive(Clone, Debug)]
pub(super) struct Object<M = Brief> {
    pub(super) metadata: ObjectMeta,
    /// What is beside the metadata, without kind and version.
    pub(super) data: Map<String, Value>,
    read: PhantomData<M>,
}

impl<M> Object<M> {
    pub(super) const fn new(metadata: ObjectMeta, data: Map<String, Value>) -> Self {
        Self {
            metadata,
            data,
            read: PhantomData,
        }
    }
}

impl From<Object<ObjectMeta>> for Object {
    fn from(read: Object<ObjectMeta>) -> Self {
        Self::new(read.metadata, read.data)
    }
}

/// The metadata that is of interest in every kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Brief {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
}

impl From<Brief> for ObjectMeta {
    fn from(read: Brief) -> Self {
        Self {
            name: read.name,
            namespace: read.namespace,
            uid: read.uid,
            resource_version: read.resource_version,
            generation: read.generation,
            creation_timestamp: read.creation_timestamp,
            labels: read.labels,
            ..Self::default()
        }
    }
}

impl<'de, M: Deserialize<'de> + Into<ObjectMeta>> Deserialize<'de> for Object<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads an object's fields.
struct Fields<M>(PhantomData<M>);

impl<'de, M: Deserialize<'de> + Into<ObjectMeta>> Visitor<'de> for Fields<M> {
    type Value = Object<M>;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut metadata, mut data) = (ObjectMeta::default(), Map::new());
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "metadata" => metadata = fields.next_value::<M>()?.into(),
                "apiVersion" | "kind" => {
                    fields.next_value::<IgnoredAny>()?;
                }
                _data => {
                    data.insert(name, fields.next_value()?);
                }
            }
        }
        Ok(Object::new(metadata, data))
    }
}

impl<M> Resource for Object<M> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
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
    use serde_json::json;

    use super::*;

    const TOLD: &str = r#"{
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "s",
            "namespace": "n",
            "uid": "7",
            "resourceVersion": "5",
            "generation": 2,
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
        },
        "spec": {"ports": [{"port": 80}]},
        "status": {}
    }"#;

    #[test]
    fn everything_of_interest_is_read() {
        let object: Object = serde_json::from_str(TOLD).expect("an object");
        let whole: Object<ObjectMeta> = serde_json::from_str(TOLD).expect("an object");
        let mut metadata = whole.metadata.clone();
        assert!(metadata.managed_fields.take().is_some() && metadata.annotations.take().is_some());
        assert_eq!(object.metadata, metadata);
        let data = json!({"spec": {"ports": [{"port": 80}]}, "status": {}});
        assert_eq!(Value::Object(object.data), data);
        assert_eq!(Value::Object(whole.data), data);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for told in [
            "[]",
            "7",
            r#"{"metadata": "x"}"#,
            r#"{"metadata": {"name": 7}}"#,
        ] {
            assert!(serde_json::from_str::<Object>(told).is_err(), "{told}");
        }
    }
}
