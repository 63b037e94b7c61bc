//! How endpoints are spoken to: protocol and TLS, compiled once and shared by all rules that want the same.

mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_ir::{Backend, BackendProtocol, BackendTls};
use http::uri::Scheme;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::refusal::Refusal;
use tls::{ClientTls, Roots};

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests.
    Requests,
    /// One request that asks to leave HTTP.
    Upgrade,
    /// Bytes that are not HTTP.
    Stream,
}

/// An endpoint as it is spoken to.
pub(crate) type EndpointKey = (SocketAddr, TransportId);

/// How to speak to endpoints. Connections of different transports are never exchanged for each other.
#[derive(Debug)]
pub(crate) struct Transport {
    id: TransportId,
    pub(crate) protocol: BackendProtocol,
    /// None: clear text.
    tls: Option<ClientTls>,
}

/// Names a transport for as long as it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TransportId(u64);

/// A backend with the way to speak to it.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) backend: Arc<Backend>,
    pub(crate) transport: Arc<Transport>,
}

impl Destination {
    /// Whether its endpoints speak gRPC, as far as HTTP/2 without a choice says so.
    pub(crate) fn takes_calls(&self) -> bool {
        self.transport.protocol == BackendProtocol::Http2
    }
}

type Wanted = (BackendProtocol, Option<Arc<BackendTls>>);

/// Makes transports, and remembers those in use.
#[derive(Debug, Default)]
pub(crate) struct Transports {
    known: HashMap<Wanted, Arc<Transport>>,
    roots: Roots,
    next: u64,
}

impl Transport {
    /// Its name.
    pub(crate) fn id(&self) -> TransportId {
        self.id
    }

    /// The server name and the settings of TLS; nothing for clear text.
    pub(crate) fn tls(&self, purpose: Purpose) -> Option<(ServerName<'static>, Arc<ClientConfig>)> {
        let tls = self.tls.as_ref()?;
        Some((tls.server_name.clone(), tls.config(purpose)))
    }

    /// The scheme of requests in HTTP/2.
    pub(crate) fn scheme(&self) -> Scheme {
        match self.tls {
            Some(_) => Scheme::HTTPS,
            None => Scheme::HTTP,
        }
    }
}

impl Transports {
    /// The way to a backend, or why there is none: clear text is never the way out of broken TLS settings.
    pub(crate) fn destination(&mut self, backend: &Arc<Backend>) -> Result<Destination, Refusal> {
        let wanted = (backend.protocol, backend.tls.clone());
        let transport = match self.known.get(&wanted) {
            Some(transport) => Arc::clone(transport),
            None => self.make(wanted).map_err(|error| {
                tracing::warn!(%error, backend = %backend.name, "TLS to a backend cannot be set up");
                Refusal::BackendTls
            })?,
        };
        Ok(Destination {
            backend: Arc::clone(backend),
            transport,
        })
    }

    fn make(&mut self, wanted: Wanted) -> Result<Arc<Transport>, rustls::Error> {
        let (protocol, tls) = &wanted;
        let tls = tls.as_ref();
        let transport = Arc::new(Transport {
            id: TransportId(self.next),
            protocol: *protocol,
            tls: tls
                .map(|tls| ClientTls::new(tls, *protocol, &mut self.roots))
                .transpose()?,
        });
        self.next += 1;
        self.known.insert(wanted, Arc::clone(&transport));
        Ok(transport)
    }

    /// Drops the transports that no rule uses any more.
    pub(crate) fn forget_unused(&mut self) {
        self.known
            .retain(|_, transport| Arc::strong_count(transport) > 1);
    }
}
