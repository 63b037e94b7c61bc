//! What a Gateway may wish of the proxy: in `SanmonConfig` for all Gateways, in `SanmonGatewayConfig` for one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Deadlines and limits of the HTTP proxy that a Gateway may have of its own. Durations are Gateway API durations (`500ms`, `10s`, `1m30s`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayProxy {
    /// From accept to the end of the TLS handshake; default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub tls_handshake_timeout: Option<String>,
    /// From the first byte of a request head, or accept, to its end; default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub header_timeout: Option<String>,
    /// How long a client connection may be idle between requests; default: 75s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub idle_timeout: Option<String>,
    /// How long a connection attempt to an endpoint may take; default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub connect_timeout: Option<String>,
    /// How long an authorization server (filter ExternalAuth) may take to answer; default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub authorization_timeout: Option<String>,
    /// The largest request head in bytes; default: 32768.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub header_bytes_max: Option<u32>,
    /// The longest request target in bytes; default: 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 1_048_576))]
    pub path_bytes_max: Option<u32>,
    /// Concurrent streams of an HTTP/2 connection; default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub streams_max: Option<u32>,
    /// How much of a request body is kept to send it again, in bytes; a longer one is sent once; default: 65536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16_777_216))]
    pub replay_bytes_max: Option<u32>,
    /// The proxies in front, as CIDRs or addresses, whose X-Forwarded-* and Forwarded headers are believed; default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub trusted_proxies: Vec<String>,
    /// Which headers tell the endpoint about the client; default: xForwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
}

/// Which headers tell the endpoint about the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Forwarded {
    /// X-Forwarded-For, -Proto, -Host, -Port and X-Real-IP.
    #[default]
    XForwarded,
    /// These and `Forwarded` (RFC 7239).
    XForwardedAndForwarded,
}
