//! The compiled form of a snapshot: what a connection and a request are looked up in.
//!
//! Compiled once per snapshot and shared by all workers; the parts of hosts that did not change are taken over.

mod compiler;
mod condition;
mod host_index;
mod query;
mod routes;
mod rule;
mod tls;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use gateway_ir::{Generation, ListenerId, PortProtocol, ProxySettings};
use rustls::ServerConfig;

pub(crate) use compiler::Compiler;
pub(crate) use query::Query;
pub(crate) use routes::{Found, Routes, View};
pub(crate) use rule::{Mirror, Rule, Share};

use crate::upstream::EndpointKey;
use host_index::HostIndex;

/// Everything that is served.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) generation: Generation,
    pub(crate) settings: ProxySettings,
    /// No address: every address.
    ports: HashMap<(Option<IpAddr>, u16), Arc<Port>>,
    /// The listeners by [`Listener::index`].
    pub(crate) listeners: Vec<ListenerId>,
    /// All endpoints that may get requests.
    pub(crate) endpoints: HashSet<EndpointKey>,
}

impl Program {
    /// The port that a connection's local address belongs to.
    pub(crate) fn port(&self, local: SocketAddr) -> Option<&Port> {
        let address = local.ip().to_canonical();
        let port = self
            .ports
            .get(&(Some(address), local.port()))
            .or_else(|| self.ports.get(&(None, local.port())))?;
        Some(port)
    }
}

/// A port with its listeners.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) protocol: PortProtocol,
    listeners: HostIndex<Arc<Listener>>,
}

impl Port {
    /// The listener that owns a host: the most specific one that covers it.
    pub(crate) fn listener(&self, host: &str) -> Option<&Listener> {
        let listener = self.listeners.covering(host).next()?;
        Some(listener)
    }

    /// The listener of a TLS handshake: by server name, or the one for every name if there is none.
    pub(crate) fn listener_by_sni(&self, name: Option<&str>) -> Option<&Listener> {
        // The empty name is covered by nothing but the pattern for all.
        self.listener(name.unwrap_or(""))
    }
}

/// A listener with its routing.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) id: ListenerId,
    /// Position in [`Program::listeners`].
    pub(crate) index: usize,
    hosts: HostIndex<Arc<Routes>>,
    /// None: HTTP, or no usable certificate.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    /// The rule for a request. What the routes of a more specific host do not match falls through to the less specific.
    pub(crate) fn find<'s>(&'s self, host: &str, view: &View<'_>) -> Option<Found<'s>> {
        self.hosts
            .covering(host)
            .find_map(|routes| routes.find(view))
    }
}
