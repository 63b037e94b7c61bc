//! The ports that gate 3 serves and the listeners on them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::{Certificate, HostPattern, HostProgram, ListenerId};

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum PortProtocol {
    /// HTTP/1.1 and HTTP/2 with prior knowledge, in clear text.
    Http,
    /// The same over TLS, by ALPN; the listener is chosen by SNI.
    Https,
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
}

/// A listener with its compiled routing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Listener {
    /// Gateway and section name.
    pub id: ListenerId,
    /// The names that it covers.
    pub hostname: HostPattern,
    /// The certificates of an HTTPS listener, first match by SNI wins; empty on HTTP.
    pub certificates: Vec<Arc<Certificate>>,
    /// The routing of each host name: exact names are looked up first, then wildcards from the longest, then `Any`.
    /// A request that its most specific program does not match falls through to the next less specific one.
    pub hosts: BTreeMap<HostPattern, Arc<HostProgram>>,
}
