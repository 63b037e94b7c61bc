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
    source: Option<Arc<BackendTls>>,
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
    /// With the number of destinations that use each.
    known: HashMap<Wanted, (Arc<Transport>, usize)>,
    /// What may be in use no more, or never was.
    loose: Vec<Wanted>,
    roots: Roots,
    next: u64,
}

impl Transport {
    fn wanted(&self) -> Wanted {
        (self.protocol, self.source.clone())
    }

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
            Some((transport, _)) => Arc::clone(transport),
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
            source: tls.map(Arc::clone),
        });
        self.next += 1;
        self.loose.push(wanted.clone());
        self.known.insert(wanted, (Arc::clone(&transport), 0));
        Ok(transport)
    }

    /// Whether none is in use.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Counts a destination more that uses a transport.
    pub(crate) fn hold(&mut self, transport: &Transport) {
        if let Some((_, uses)) = self.known.get_mut(&transport.wanted()) {
            *uses += 1;
        }
    }

    /// Counts a destination less.
    pub(crate) fn release(&mut self, transport: &Transport) {
        let wanted = transport.wanted();
        if let Some((_, uses)) = self.known.get_mut(&wanted) {
            *uses -= 1;
            if *uses == 0 {
                self.loose.push(wanted);
            }
        }
    }

    /// Drops the transports that no destination uses any more.
    pub(crate) fn forget_unused(&mut self) {
        for wanted in std::mem::take(&mut self.loose) {
            if self.known.get(&wanted).is_some_and(|(_, uses)| *uses == 0) {
                self.known.remove(&wanted);
            }
        }
    }
}
