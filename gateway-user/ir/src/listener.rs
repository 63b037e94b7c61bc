//! The ports that gate 3 serves and the listeners on them.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::{
    Certificate, ClientValidation, HostPattern, HostProgram, ListenerId, ProxySettings, RuleId,
    SharedMap, WeightedBackend,
};

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum PortProtocol {
    /// HTTP/1.1 and HTTP/2 with prior knowledge, in clear text.
    Http,
    /// TLS; the listener is chosen by SNI.
    Tls,
}

/// A port with all the listeners on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct HttpPort {
    /// The addresses that it answers on; empty: every address of the node (no pool).
    pub addresses: Vec<IpAddr>,
    /// The port.
    pub port: u16,
    /// One protocol per port; listeners that want another are conflicted.
    pub protocol: PortProtocol,
    /// The listeners, most specific hostname first: the first that covers a request's host owns it, and a request
    /// that its routes do not match is not handed on to another (Gateway API: listener isolation).
    pub listeners: Vec<Listener>,
    /// How it is served: what the Gateway wishes, or the default of its class.
    pub settings: Arc<ProxySettings>,
}

/// A listener with its compiled routing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Listener {
    /// Gateway and section name.
    pub id: ListenerId,
    /// The names that it covers.
    pub hostname: HostPattern,
    /// How TLS ends here; none: clear text, or TLS that is passed through.
    pub tls: Option<ListenerTls>,
    /// What happens to what it owns.
    pub routing: Routing,
}

/// How a listener ends TLS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ListenerTls {
    /// Its certificates, first match by SNI wins; not empty.
    pub certificates: Vec<Arc<Certificate>>,
    /// The certificates that clients must show; none: they are not asked.
    pub clients: Option<ClientValidation>,
}

/// What happens to what a listener owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Routing {
    /// Requests, by HTTPRoutes and GRPCRoutes (protocols HTTP and HTTPS).
    ///
    /// Keyed by the routes' own hostnames: exact names are looked up first, then wildcards from the longest, then `Any`.
    /// A request that its most specific program does not match falls through to the next less specific one.
    Http(SharedMap<HostPattern, Arc<HostProgram>>),
    /// Connections, by TLSRoutes (protocol TLS): ended here if the listener has `tls`, else passed through as they are.
    /// The most specific name that covers the SNI wins; a connection that none covers is closed after it was accepted.
    Stream(SharedMap<HostPattern, Arc<StreamProgram>>),
}

/// Where the connections for one name go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct StreamProgram {
    /// The rule that it came from.
    pub id: RuleId,
    /// In their weights; an invalid one's share is closed after it was accepted.
    pub backends: Vec<WeightedBackend>,
}
