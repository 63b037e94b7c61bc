//! What is read of an EndpointSlice of Kubernetes: a sixth of what it has, and there are thousands.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer};

/// Some of a Service's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointSlice {
    /// What it is called, and whose it is.
    #[serde(default)]
    pub metadata: EndpointSliceMeta,
    /// The endpoints.
    pub endpoints: Option<Box<[Endpoint]>>,
    /// The ports that all of them have.
    pub ports: Option<Box<[EndpointPort]>>,
}

/// What an EndpointSlice is called, and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointSliceMeta {
    /// The namespace.
    pub namespace: Option<Box<str>>,
    /// The name.
    pub name: Option<Box<str>>,
    /// The labels.
    pub labels: Option<EndpointSliceLabels>,
}

/// The labels of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointSliceLabels {
    /// The Service.
    #[serde(rename = "kubernetes.io/service-name")]
    pub service: Option<Box<str>>,
}

/// An endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its address: all that it has are the same pod's, and the first one stands for it. None: a name, which is not read.
    #[serde(default, rename = "addresses", deserialize_with = "first")]
    pub address: Option<IpAddr>,
    /// What it is good for.
    pub conditions: Option<EndpointConditions>,
    /// The node that it is on.
    pub node_name: Option<Box<str>>,
}

/// What an endpoint is good for; what is not known is taken as good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointConditions {
    /// Whether it takes what is new.
    pub ready: Option<bool>,
    /// Whether it goes on with what it has.
    pub serving: Option<bool>,
}

/// A port of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointPort {
    /// What ties it to a port of the Service.
    pub name: Option<Box<str>>,
    /// The number.
    pub port: Option<i32>,
    /// The transport; none: TCP.
    pub protocol: Option<Box<str>>,
}

fn first<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let addresses = Option::<Vec<Cow<'de, str>>>::deserialize(deserializer)?;
    let first = addresses.iter().flatten().next();
    Ok(first.and_then(|it| it.parse().ok()))
}
