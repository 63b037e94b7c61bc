//! `SanmonGatewayConfig`: the wishes of one Gateway, in its own namespace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gateway_proxy::GatewayProxy;

/// Settings of one Gateway or several of a namespace, named by `Gateway.spec.infrastructure.parametersRef`. What is not set here is as the Gateway's class has it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sanmon.dev",
    version = "v1alpha1",
    kind = "SanmonGatewayConfig",
    plural = "sanmongatewayconfigs",
    namespaced,
    category = "sanmon",
    status = "SanmonGatewayConfigStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Settings of Sanmon for the Gateways that name it: limits and deadlines of the proxy.",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SanmonGatewayConfigSpec {
    /// Deadlines and limits of the HTTP proxy. Where several Gateways share an address and a port, which they can only without address pools, those of the first by name hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<GatewayProxy>,
}

/// What became of the settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SanmonGatewayConfigStatus {
    /// `Accepted`, false if a value was refused; the message names each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
