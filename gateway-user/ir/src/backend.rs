//! Where a rule's requests go: weighted backends and their endpoints.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::{BackendTls, NodeName, ObjectName};

/// A Service port, the name that a backend is counted and logged by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BackendName {
    /// The Service.
    pub service: ObjectName,
    /// The Service's port (not the endpoints').
    pub port: u16,
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// One IP address and port that serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Endpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// The node where it runs; none: reachable from every node (files without `nodeName`).
    pub node: Option<NodeName>,
}

/// The endpoints of a backend, each list sorted by address.
///
/// Shared by every rule that names the backend, so that health and connections are known once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EndpointSet {
    /// Those that get new requests and flows; empty: the answer is 503.
    pub endpoints: Vec<Endpoint>,
    /// Those that get nothing new and still serve what they have (Kubernetes: `serving` without `ready`, on the way to
    /// their end).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ending: Vec<Endpoint>,
    /// Those that exist and do not serve at the moment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unready: Vec<Endpoint>,
}

/// A resolved backend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Backend {
    /// The Service port.
    pub name: BackendName,
    /// Its endpoints.
    pub endpoints: Arc<EndpointSet>,
    /// What its endpoints speak.
    pub protocol: BackendProtocol,
    /// TLS towards its endpoints; none: clear text.
    pub tls: Option<Arc<BackendTls>>,
}

/// What endpoints speak (Kubernetes: `ServicePort.appProtocol`; Gateway API: GEP-1911).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum BackendProtocol {
    /// HTTP/1.1, upgrades to WebSocket included; with TLS also HTTP/2 where ALPN offers it.
    #[default]
    Http,
    /// HTTP/2 with prior knowledge (`kubernetes.io/h2c`), and what GRPCRoutes lead to.
    Http2,
}

/// Why a backendRef leads nowhere. Its share of the requests is answered with 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum InvalidBackend {
    /// No such Service, or no such port on it.
    NotFound,
    /// Group and kind that Sanmon does not serve.
    InvalidKind,
    /// In another namespace, without a ReferenceGrant.
    RefNotPermitted,
    /// A protocol or a filter of the backendRef that cannot be served.
    Unsupported,
    /// A BackendTLSPolicy that cannot be kept: clear text is never the way out.
    InvalidTls,
}

/// A backend, or the reason that there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Target {
    /// Requests go to these endpoints.
    Backend(Arc<Backend>),
    /// Requests are refused.
    Invalid(InvalidBackend),
}
