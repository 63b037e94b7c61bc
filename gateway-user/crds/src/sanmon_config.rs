//! `SanmonConfig`: the operator's settings, in a file or in the cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gateway_proxy::GatewayProxy;

/// Settings of Sanmon for the whole cluster, named by `GatewayClass.spec.parametersRef`; the one called `default` is used by classes that name none.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sanmon.dev",
    version = "v1alpha1",
    kind = "SanmonConfig",
    plural = "sanmonconfigs",
    category = "sanmon",
    status = "SanmonConfigStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Settings of Sanmon for the whole cluster: address pools, interfaces, datapath and proxy.",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SanmonConfigSpec {
    /// The addresses that Gateways get. Pools must not overlap each other or an address of a node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub address_pools: Vec<AddressPool>,
    /// The interfaces that gates 1 and 2 run on; default: those whose subnet holds a pool address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// How nodes agree on who answers for an address, and what neighbours are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Announcement>,
    /// How packets are steered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datapath: Option<Datapath>,
    /// Deadlines and limits of the HTTP proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
}

/// A named set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressPool {
    /// The name, unique over all SanmonConfigs in use.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// CIDRs (`192.0.2.0/28`), ranges (`192.0.2.10-192.0.2.20`) or single addresses, IPv4 and IPv6.
    #[schemars(length(min = 1, max = 64))]
    pub addresses: Vec<String>,
    /// Whether Gateways that ask for no address get one from here; default: true. If false, only those that ask for one of its addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_assign: Option<bool>,
    /// The interfaces that the addresses are announced on; default: those whose subnet holds the address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// The namespaces, by label, whose Gateways may use the pool; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
}

/// How nodes agree on who answers for an address, and what neighbours are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// Distance of heartbeats between nodes, 20ms to 5s; default: 100ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub heartbeat_interval: Option<String>,
    /// After so many heartbeats that did not come another node takes over, 3 to 12; default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 12))]
    pub heartbeat_misses: Option<u32>,
    /// The nodes whose majority decides, at most five of them; default: the first five by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voters: Option<Voters>,
    /// How often neighbours are reminded of an address, 1s to 1h; default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub refresh_interval: Option<String>,
    /// What to do when another machine claims an address; default: defend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_policy: Option<ConflictPolicy>,
    /// Addresses of machines on the LAN that one of two nodes asks when it does not hear the other, beside its default routers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub witnesses: Vec<String>,
}

/// The nodes whose majority decides who answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Voters {
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub names: Vec<String>,
    /// By label: the first five by name that have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// What to do when another machine claims an address that is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConflictPolicy {
    /// Go on answering, tell the neighbours again, at most every 10 s.
    #[default]
    Defend,
    /// Fall silent until the address is free again.
    Yield,
    /// Give the Gateway another address of its pool; one that `spec.addresses` names is defended.
    Reallocate,
}

/// How packets are steered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Datapath {
    /// The hook; default: auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// Which hook steers packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Native XDP where the driver has it and it works, tc otherwise.
    #[default]
    Auto,
    /// Native XDP or nothing.
    Native,
    /// tc ingress and egress.
    Tc,
}

/// Deadlines and limits of the HTTP proxy: those of all Gateways together, and the defaults of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// How long an idle connection to an endpoint is kept; default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub upstream_idle_timeout: Option<String>,
    /// How long requests in flight may take to end when the process drains; default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub drain_timeout: Option<String>,
    /// Client connections per worker; default: 50000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections_max: Option<u32>,
    /// The Secret with the key of TLS session tickets and of session persistence: what one node has begun goes on at every other. Field `key` (at least 32 bytes), and `previous` while it is rotated. Default: each process draws keys of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key_ref: Option<SecretName>,
    /// What a Gateway may have of its own.
    #[serde(flatten)]
    pub gateway: GatewayProxy,
}

/// A Secret of any namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// Its namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What became of the settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SanmonConfigStatus {
    /// `Accepted`, false if a pool or a value was refused; the message names each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
