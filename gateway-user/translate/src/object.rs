//! An object of any kind that Sanmon reads, made from the JSON of a file or an API server.

use std::sync::Arc;

use gateway_ir::ObjectName;
use k8s_openapi::api::core::v1 as core_v1;
use k8s_openapi::api::discovery::v1 as discovery_v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kinds::{
    BackendTlsPolicy, ClusterTrustBundle, ConfigMap, EndpointSlice, Gateway, GatewayClass,
    GrpcRoute, HttpRoute, ListenerSet, Namespace, Node, ReferenceGrant, SanmonConfig,
    SanmonGatewayConfig, Secret, Service, TcpRoute, TlsRoute, UdpRoute,
};
use crate::status::{Kind, ObjectKey};

/// An object, by kind.
#[derive(Clone, Debug)]
pub enum Object {
    /// gateway.networking.k8s.io/v1
    GatewayClass(Arc<GatewayClass>),
    /// gateway.networking.k8s.io/v1
    Gateway(Arc<Gateway>),
    /// gateway.networking.k8s.io/v1
    HttpRoute(Arc<HttpRoute>),
    /// gateway.networking.k8s.io/v1
    GrpcRoute(Arc<GrpcRoute>),
    /// gateway.networking.k8s.io/v1
    TlsRoute(Arc<TlsRoute>),
    /// gateway.networking.k8s.io/v1
    BackendTlsPolicy(Arc<BackendTlsPolicy>),
    /// gateway.networking.k8s.io/v1
    ListenerSet(Arc<ListenerSet>),
    /// gateway.networking.k8s.io/v1
    TcpRoute(Arc<TcpRoute>),
    /// gateway.networking.k8s.io/v1
    UdpRoute(Arc<UdpRoute>),
    /// gateway.networking.k8s.io/v1 or v1beta1
    ReferenceGrant(Arc<ReferenceGrant>),
    /// v1
    Service(Arc<Service>),
    /// discovery.k8s.io/v1
    EndpointSlice(Arc<EndpointSlice>),
    /// v1
    Secret(Arc<Secret>),
    /// v1
    ConfigMap(Arc<ConfigMap>),
    /// certificates.k8s.io/v1 or v1beta1
    ClusterTrustBundle(Arc<ClusterTrustBundle>),
    /// v1
    Namespace(Arc<Namespace>),
    /// v1
    Node(Arc<Node>),
    /// sanmon.dev/v1alpha1
    SanmonConfig(Arc<SanmonConfig>),
    /// sanmon.dev/v1alpha1
    SanmonGatewayConfig(Arc<SanmonGatewayConfig>),
}

/// Why JSON is no object that is read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// A kind or version that Sanmon does not read: to be named and ignored.
    #[error("kind {kind} of {api_version} is not read by sanmon")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// The group and version.
        api_version: String,
    },
    /// `metadata.name` is missing or empty.
    #[error("{kind} without metadata.name")]
    NoName {
        /// The kind.
        kind: Kind,
    },
    /// A field of the wrong type, or a value that the kind does not have.
    #[error("{kind} {name} is invalid")]
    Invalid {
        /// The kind.
        kind: Kind,
        /// Namespace and name, as far as they are there.
        name: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

impl Object {
    /// Reads an object and fills in what an API server would: the namespace, and a Secret's `stringData`.
    ///
    /// # Errors
    /// When the kind is not one that is read, the name is missing or a field does not fit.
    pub fn from_value(kind: &str, api_version: &str, value: Value) -> Result<Self, ObjectError> {
        let unknown = || ObjectError::UnknownKind {
            kind: kind.to_owned(),
            api_version: api_version.to_owned(),
        };
        let known = Kind::parse(kind).ok_or_else(unknown)?;
        if !known.api_versions().contains(&api_version) {
            return Err(unknown());
        }
        Ok(match known {
            Kind::GatewayClass => Self::GatewayClass(read(known, value)?),
            Kind::Gateway => Self::Gateway(read(known, value)?),
            Kind::HttpRoute => Self::HttpRoute(read(known, value)?),
            Kind::GrpcRoute => Self::GrpcRoute(read(known, value)?),
            Kind::TlsRoute => Self::TlsRoute(read(known, value)?),
            Kind::BackendTlsPolicy => Self::BackendTlsPolicy(read(known, value)?),
            Kind::ListenerSet => Self::ListenerSet(read(known, value)?),
            Kind::TcpRoute => Self::TcpRoute(read(known, value)?),
            Kind::UdpRoute => Self::UdpRoute(read(known, value)?),
            Kind::ReferenceGrant => Self::ReferenceGrant(read(known, value)?),
            Kind::Service => Self::Service(read(known, value)?),
            Kind::EndpointSlice => Self::EndpointSlice(read(known, value)?),
            Kind::Secret => Self::Secret(Arc::new(with_string_data(read_plain(known, value)?))),
            Kind::ConfigMap => Self::ConfigMap(read(known, value)?),
            Kind::ClusterTrustBundle => Self::ClusterTrustBundle(read(known, value)?),
            Kind::Namespace => Self::Namespace(read(known, value)?),
            Kind::Node => Self::Node(read(known, value)?),
            Kind::SanmonConfig => Self::SanmonConfig(read(known, value)?),
            Kind::SanmonGatewayConfig => Self::SanmonGatewayConfig(read(known, value)?),
        })
    }

    /// The same for an object that no API server has looked at: what is not read of it has to fit as well.
    ///
    /// # Errors
    /// As for [`Self::from_value`].
    pub fn from_manifest(kind: &str, api_version: &str, value: Value) -> Result<Self, ObjectError> {
        let object = Self::from_value(kind, api_version, value.clone())?;
        if let Self::Service(_) = object {
            read_plain::<core_v1::Service>(Kind::Service, value)?;
        } else if let Self::EndpointSlice(_) = object {
            read_plain::<discovery_v1::EndpointSlice>(Kind::EndpointSlice, value)?;
        }
        Ok(object)
    }

    /// The object's kind and name.
    pub fn key(&self) -> ObjectKey {
        let (kind, name) = self.identity();
        ObjectKey { kind, name }
    }

    /// The fields of the JSON that the object does not have, as paths: typing errors that would be ignored silently.
    pub fn unknown_fields(&self, value: &Value) -> Vec<String> {
        let known = match self {
            Self::GatewayClass(it) => to_value(it),
            Self::Gateway(it) => to_value(it),
            Self::HttpRoute(it) => to_value(it),
            Self::GrpcRoute(it) => to_value(it),
            Self::TlsRoute(it) => to_value(it),
            Self::BackendTlsPolicy(it) => to_value(it),
            Self::ListenerSet(it) => to_value(it),
            Self::TcpRoute(it) => to_value(it),
            Self::UdpRoute(it) => to_value(it),
            Self::ReferenceGrant(it) => to_value(it),
            // They hold only what is read of them.
            Self::Service(_) => in_full::<core_v1::Service>(value),
            Self::EndpointSlice(_) => in_full::<discovery_v1::EndpointSlice>(value),
            // `stringData` has been merged into `data`.
            Self::Secret(_) => return Vec::new(),
            Self::ConfigMap(it) => to_value(it),
            Self::ClusterTrustBundle(it) => to_value(it),
            Self::Namespace(it) => to_value(it),
            Self::Node(it) => to_value(it),
            Self::SanmonConfig(it) => to_value(it),
            Self::SanmonGatewayConfig(it) => to_value(it),
        };
        let mut unknown = Vec::new();
        compare("", value, &known, &mut unknown);
        unknown
    }

    fn identity(&self) -> (Kind, ObjectName) {
        match self {
            Self::GatewayClass(it) => (Kind::GatewayClass, name_of(&it.metadata)),
            Self::Gateway(it) => (Kind::Gateway, name_of(&it.metadata)),
            Self::HttpRoute(it) => (Kind::HttpRoute, name_of(&it.metadata)),
            Self::GrpcRoute(it) => (Kind::GrpcRoute, name_of(&it.metadata)),
            Self::TlsRoute(it) => (Kind::TlsRoute, name_of(&it.metadata)),
            Self::BackendTlsPolicy(it) => (Kind::BackendTlsPolicy, name_of(&it.metadata)),
            Self::ListenerSet(it) => (Kind::ListenerSet, name_of(&it.metadata)),
            Self::TcpRoute(it) => (Kind::TcpRoute, name_of(&it.metadata)),
            Self::UdpRoute(it) => (Kind::UdpRoute, name_of(&it.metadata)),
            Self::ReferenceGrant(it) => (Kind::ReferenceGrant, name_of(&it.metadata)),
            Self::Service(it) => {
                let metadata = &it.metadata;
                let name = named(metadata.namespace.as_deref(), metadata.name.as_deref());
                (Kind::Service, name)
            }
            Self::EndpointSlice(it) => {
                let metadata = &it.metadata;
                let name = named(metadata.namespace.as_deref(), metadata.name.as_deref());
                (Kind::EndpointSlice, name)
            }
            Self::Secret(it) => (Kind::Secret, name_of(&it.metadata)),
            Self::ConfigMap(it) => (Kind::ConfigMap, name_of(&it.metadata)),
            Self::ClusterTrustBundle(it) => (Kind::ClusterTrustBundle, name_of(&it.metadata)),
            Self::Namespace(it) => (Kind::Namespace, name_of(&it.metadata)),
            Self::Node(it) => (Kind::Node, name_of(&it.metadata)),
            Self::SanmonConfig(it) => (Kind::SanmonConfig, name_of(&it.metadata)),
            Self::SanmonGatewayConfig(it) => (Kind::SanmonGatewayConfig, name_of(&it.metadata)),
        }
    }
}

/// Namespace and name of an object; what is missing is empty.
pub(crate) fn name_of(metadata: &ObjectMeta) -> ObjectName {
    named(metadata.namespace.as_deref(), metadata.name.as_deref())
}

fn named(namespace: Option<&str>, name: Option<&str>) -> ObjectName {
    ObjectName::new(namespace.unwrap_or_default(), name.unwrap_or_default())
}

fn read<T: DeserializeOwned>(kind: Kind, value: Value) -> Result<Arc<T>, ObjectError> {
    read_plain(kind, value).map(Arc::new)
}

fn read_plain<T: DeserializeOwned>(kind: Kind, mut value: Value) -> Result<T, ObjectError> {
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or(ObjectError::NoName { kind })?;
    let name = metadata.get("name").and_then(Value::as_str);
    let name = name.filter(|name| !name.is_empty());
    let mut name = name.ok_or(ObjectError::NoName { kind })?.to_owned();
    if kind.is_namespaced() {
        let namespace = metadata.entry("namespace").or_insert(Value::Null);
        if namespace.is_null() || namespace.as_str() == Some("") {
            *namespace = Value::from("default");
        }
        name = format!("{}/{name}", namespace.as_str().unwrap_or_default());
    } else {
        metadata.remove("namespace");
    }
    serde_json::from_value(value).map_err(|source| ObjectError::Invalid { kind, name, source })
}

fn with_string_data(mut secret: Secret) -> Secret {
    for (key, text) in secret.string_data.take().unwrap_or_default() {
        let bytes = k8s_openapi::ByteString(text.into_bytes());
        secret.data.get_or_insert_default().insert(key, bytes);
    }
    secret
}

fn to_value<T: Serialize>(object: &Arc<T>) -> Value {
    serde_json::to_value(object.as_ref()).unwrap_or_default()
}

/// The object with all fields of its kind; one that does not fit, as it is.
fn in_full<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
    let object = serde_json::from_value::<T>(value.clone());
    let object = object.and_then(serde_json::to_value);
    object.unwrap_or_else(|_| value.clone())
}

/// Collects the paths of `given` that are not in `known`. What is empty may be left out when written.
fn compare(path: &str, given: &Value, known: &Value, unknown: &mut Vec<String>) {
    let Value::Object(fields) = given else {
        if let (Value::Array(given), Value::Array(known)) = (given, known) {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                compare(&format!("{path}[{index}]"), given, known, unknown);
            }
        }
        return;
    };
    for (name, given) in fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match known.get(name) {
            Some(known) => compare(&path, given, known, unknown),
            None if is_empty(given) => {}
            None => unknown.push(path),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
