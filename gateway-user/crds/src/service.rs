//! What is read of a Service of Kubernetes: an eighth of what it has, and there are thousands.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

/// A named place that leads to pods.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Service {
    /// What it is called.
    #[serde(default)]
    pub metadata: ServiceMeta,
    /// What it is to do.
    #[serde(default)]
    pub spec: Option<ServiceSpec>,
}

/// What a Service is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ServiceMeta {
    /// The namespace.
    pub namespace: Option<Box<str>>,
    /// The name.
    pub name: Option<Box<str>>,
}

/// What a Service is to do.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ServiceSpec {
    /// Where it can be reached; `ExternalName`: it is another name, and has no endpoints.
    #[serde(rename = "type")]
    pub type_: Option<Box<str>>,
    /// Its ports.
    pub ports: Option<Box<[ServicePort]>>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// What ties it to a port of its EndpointSlices.
    pub name: Option<Box<str>>,
    /// The number.
    #[serde(default)]
    pub port: i32,
    /// The transport; none: TCP.
    pub protocol: Option<Box<str>>,
    /// What is spoken there.
    pub app_protocol: Option<Box<str>>,
    /// The pods' port; none: the same number.
    pub target_port: Option<IntOrString>,
}
