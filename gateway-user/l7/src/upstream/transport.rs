//! How endpoints are spoken to: protocol and TLS, compiled once and shared by all rules that want the same.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_ir::{Backend, BackendProtocol, BackendTls};

use super::tls::{ClientTls, Roots};
use crate::refusal::Refusal;

/// How to speak to endpoints. Connections of different transports are never exchanged for each other.
#[derive(Debug)]
pub(crate) struct Transport {
    id: TransportId,
    pub(super) protocol: BackendProtocol,
    /// None: clear text.
    pub(super) tls: Option<ClientTls>,
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
