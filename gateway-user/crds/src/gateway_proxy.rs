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
    /// The proxies in front, as CIDRs or addresses, whose X-Forwarded-* and Forwarded headers are believed, and whose PROXY headers are read where `proxyProtocol` says so; default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub trusted_proxies: Vec<String>,
    /// The number of proxies in front that every request comes through, where their addresses are not known: X-Forwarded-* and Forwarded headers are believed if so many addresses are in X-Forwarded-For, and the client is the one that the first of them has added. Whoever can reach the Gateway without them can claim what it likes. Default: 0, `trustedProxies` decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16))]
    pub trusted_hops: Option<u8>,
    /// The ports of HTTP, HTTPS and TLS listeners that use the PROXY protocol; default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub proxy_protocol: Vec<ProxyProtocolPort>,
    /// Which headers tell the endpoint about the client; default: xForwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    /// What happens to calls in gRPC-Web; default: passedThrough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_web: Option<GrpcWeb>,
}

/// What happens to calls in gRPC-Web.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GrpcWeb {
    /// They are requests like others: for backends that speak gRPC-Web themselves.
    #[default]
    PassedThrough,
    /// Backends of GRPCRoutes, and those with appProtocol kubernetes.io/h2c, get them in gRPC. For pages of other origins use an HTTPRoute with a CORS filter.
    Translated,
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

/// How a port uses the PROXY protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyProtocolPort {
    /// The listeners' port.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Whether connections begin with a header (version 1 or 2); default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<ReceiveProxyHeaders>,
    /// The version of the header before everything that is sent to the endpoints of the port's routes; default: none is sent. Each client then has connections to endpoints of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<ProxyProtocolVersion>,
}

/// Whose connections begin with a PROXY header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReceiveProxyHeaders {
    /// Nobody's.
    #[default]
    None,
    /// Those of `trustedProxies`, all of them: without a header they are closed. Others are served as they come, so that nobody else can say who it is.
    FromTrustedProxies,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProxyProtocolVersion {
    /// A line of text.
    V1,
    /// Binary.
    #[default]
    V2,
}
