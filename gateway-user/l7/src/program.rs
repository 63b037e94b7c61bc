//! The compiled form of a snapshot: what a connection and a request are looked up in.
//!
//! Compiled once per snapshot and shared by all workers; the parts of hosts that did not change are taken over.

mod candidates;
mod choices;
mod clients;
mod compiler;
mod condition;
mod host_index;
mod path_tree;
mod patterns;
mod query;
mod reach;
mod routes;
mod rule;
mod single;
mod steps;
mod stream;
mod tickets;
mod tls;
mod trie;
mod view;
mod weighted;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gateway_ir::{Generation, ListenerId, PortProtocol, ProxySettings, WorkerSettings};
use rustls::ServerConfig;

pub(crate) use compiler::Compiler;
pub(crate) use query::Query;
pub(crate) use reach::Reachable;
pub(crate) use routes::{Found, Routes};
pub(crate) use rule::{Mirror, Rule, Share};
pub(crate) use single::{Single, WhyNot};
pub(crate) use stream::StreamRule;
pub(crate) use view::View;

use host_index::HostIndex;

/// Everything that is served.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) generation: Generation,
    pub(crate) settings: WorkerSettings,
    /// The shortest deadline that is to be watched; none: nothing is served.
    pub(crate) deadline_min: Option<Duration>,
    /// No address: every address.
    ports: HashMap<(Option<IpAddr>, u16), Arc<Port>>,
    /// The listeners by [`Listener::index`].
    pub(crate) listeners: Vec<ListenerId>,
    endpoints: OnceLock<Reachable>,
}

impl Program {
    /// The endpoints that may get requests, when they have been listed.
    pub(crate) fn endpoints(&self) -> Option<&Reachable> {
        self.endpoints.get()
    }

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
    pub(crate) settings: Arc<ProxySettings>,
    listeners: HostIndex<Arc<Listener>>,
    unroutable: Unroutable,
}

/// What happens to a TLS connection whose server name no listener covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unroutable {
    /// The client is told.
    Alert,
    /// The port also carries connections that do not end here, so nothing is said in their name.
    Close,
}

/// What happens to a TLS connection.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It ends here and carries HTTP.
    Http(Arc<ServerConfig>),
    /// It ends here and carries something else.
    End(Arc<ServerConfig>, Arc<StreamRule>),
    /// It is passed through.
    PassThrough(Arc<StreamRule>),
    /// It is refused with an alert.
    Alert,
    /// It is closed.
    Close,
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

    /// Whether a client is told that no listener covers its server name.
    pub(crate) fn alerts(&self) -> bool {
        self.unroutable == Unroutable::Alert
    }

    /// What happens to a TLS connection with this server name.
    pub(crate) fn fate(&self, name: Option<&str>) -> Fate {
        let unroutable = match self.unroutable {
            Unroutable::Alert => Fate::Alert,
            Unroutable::Close => Fate::Close,
        };
        let Some(listener) = self.listener_by_sni(name) else {
            return unroutable;
        };
        let config = listener.tls.as_ref().map(Arc::clone);
        match &listener.routing {
            Routing::Http(_) => config.map_or(unroutable, Fate::Http),
            Routing::Stream { hosts, ending } => {
                let rule = hosts.covering(name.unwrap_or("")).next().map(Arc::clone);
                match (rule, ending, config) {
                    (Some(rule), Ending::Endpoint, _) => Fate::PassThrough(rule),
                    (Some(rule), Ending::Here, Some(config)) => Fate::End(config, rule),
                    (Some(_), Ending::Here, None) | (None, _, _) => Fate::Close,
                }
            }
        }
    }
}

/// What happens to what a listener owns.
#[derive(Debug)]
enum Routing {
    Http(HostIndex<Arc<Routes>>),
    Stream {
        hosts: HostIndex<Arc<StreamRule>>,
        ending: Ending,
    },
}

/// Where TLS ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Here,
    Endpoint,
}

/// A listener with its routing.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) id: ListenerId,
    /// Position in [`Program::listeners`].
    pub(crate) index: usize,
    routing: Routing,
    /// None: HTTP, TLS that is passed through, or no usable certificate.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    /// The rule for a request. What the routes of a more specific host do not match falls through to the less specific.
    pub(crate) fn find<'s>(&'s self, host: &str, view: &View<'_>) -> Option<Found<'s>> {
        match &self.routing {
            Routing::Http(hosts) => hosts.covering(host).find_map(|routes| routes.find(view)),
            Routing::Stream { .. } => None,
        }
    }
}
