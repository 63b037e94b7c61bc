//! How the data planes run; every field has a complete default.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{NodeName, SessionKeys};

/// Which hook gate 2 uses.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DatapathMode {
    /// Native XDP where the driver has it and it works, tc otherwise (always tc on veth, bridge and tun).
    #[default]
    Auto,
    /// Native XDP or nothing.
    Native,
    /// tc ingress and egress.
    Tc,
}

/// Settings of gates 1 and 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DatapathSettings {
    /// The hook.
    pub mode: DatapathMode,
    /// The interfaces; empty: those whose subnet holds a pool address.
    pub interfaces: Vec<String>,
}

/// How gate 1 decides who answers for a VIP, and what it tells the neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AnnounceSettings {
    /// Distance of heartbeats.
    pub beat: Duration,
    /// A node that was not heard for so many heartbeats is taken for dead.
    pub misses: u32,
    /// Who decides, sorted; empty: the first nodes by name.
    pub voters: Vec<NodeName>,
    /// Distance of the frames that remind neighbours of a VIP.
    pub refresh: Duration,
    /// Machines beside the routers that one of two nodes asks when it does not hear the other.
    pub witnesses: Vec<IpAddr>,
    /// What to do when another machine claims a VIP that is in use.
    pub conflicts: ConflictPolicy,
}

impl Default for AnnounceSettings {
    fn default() -> Self {
        Self {
            beat: Duration::from_millis(100),
            misses: 3,
            voters: Vec::new(),
            refresh: Duration::from_secs(60),
            witnesses: Vec::new(),
            conflicts: ConflictPolicy::Defend,
        }
    }
}

/// What to do when another machine claims a VIP that is in use (RFC 5227 §2.4).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ConflictPolicy {
    /// Go on answering, and tell the neighbours again.
    #[default]
    Defend,
    /// Fall silent until the address is free again.
    Yield,
    /// Give the Gateway another address of its pool. One that the Gateway names itself is defended.
    Reallocate,
}

/// Limits and deadlines of a port of gate 3: a Gateway may have its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProxySettings {
    /// From accept to the end of the TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// From the first byte of a request head, or accept, to its end.
    pub header_timeout: Duration,
    /// How long a client connection may be idle between requests.
    pub idle_timeout: Duration,
    /// How long a connection attempt to an endpoint may take.
    pub connect_timeout: Duration,
    /// How long an authorization server may take to answer.
    pub authorization_timeout: Duration,
    /// The largest request head, in bytes: above it 431, or 414 when the target alone is above it.
    pub header_bytes_max: u32,
    /// The longest request target, in bytes.
    pub path_bytes_max: u32,
    /// Concurrent streams of an HTTP/2 connection.
    pub streams_max: u32,
    /// How much of a request body is kept to send it again, in bytes; a longer one is sent once.
    pub replay_bytes_max: u32,
    /// The proxies whose X-Forwarded-* and Forwarded headers are believed and continued; empty: nobody's. Also those
    /// whose PROXY headers are read.
    pub trusted_proxies: Vec<IpNet>,
    /// The proxies that every request has come through, whatever their addresses; 0: `trusted_proxies` decides.
    pub trusted_hops: u8,
    /// The ports that use the PROXY protocol.
    pub proxy_protocol: BTreeMap<u16, ProxyProtocol>,
    /// Which headers tell the endpoint about the client.
    pub forwarded: ForwardedHeaders,
    /// What happens to calls in gRPC-Web.
    pub grpc_web: GrpcWeb,
}

/// Limits and deadlines of what all ports of gate 3 share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// How long an idle connection to an endpoint is kept.
    pub upstream_idle_timeout: Duration,
    /// How long requests in flight may take to end when the process drains.
    pub drain_timeout: Duration,
    /// Client connections per worker.
    pub connections_max: u32,
    /// What sessions are sealed with; none: each process draws keys of its own.
    #[serde(skip_deserializing)]
    pub session_keys: Option<SessionKeys>,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            upstream_idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            connections_max: 50_000,
            session_keys: None,
        }
    }
}

/// Which headers tell the endpoint about the client.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum ForwardedHeaders {
    /// X-Forwarded-For, -Proto, -Host, -Port and X-Real-IP.
    #[default]
    XForwarded,
    /// These and `Forwarded` (RFC 7239).
    XForwardedAndForwarded,
}

/// What happens to calls in gRPC-Web.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum GrpcWeb {
    /// They are requests like others.
    #[default]
    PassedThrough,
    /// Backends that speak HTTP/2 without a choice (those of GRPCRoutes do) get them in gRPC.
    Translated,
}

/// How a port uses the PROXY protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ProxyProtocol {
    /// Whose connections begin with a header.
    pub receive: ProxyHeaders,
    /// The header before everything that is sent to endpoints; none: none is sent.
    pub send: Option<ProxyHeaderVersion>,
}

/// Whose connections begin with a PROXY header.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum ProxyHeaders {
    /// Nobody's.
    #[default]
    None,
    /// Those of trusted proxies, all of them; what others send is not looked at for one.
    OfTrustedProxies,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProxyHeaderVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxySettings {
    /// Whether an address is a trusted proxy's.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies
            .iter()
            .any(|net| net.contains(&address))
    }
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            tls_handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            connect_timeout: Duration::from_secs(5),
            authorization_timeout: Duration::from_secs(5),
            header_bytes_max: 32 * 1024,
            path_bytes_max: 8 * 1024,
            streams_max: 100,
            replay_bytes_max: 64 * 1024,
            trusted_proxies: Vec::new(),
            trusted_hops: 0,
            proxy_protocol: BTreeMap::new(),
            forwarded: ForwardedHeaders::default(),
            grpc_web: GrpcWeb::default(),
        }
    }
}
