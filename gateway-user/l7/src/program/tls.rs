//! TLS settings of listeners: certificates chosen by server name, ALPN, session tickets shared by all workers.

use std::collections::HashMap;
use std::sync::Arc;

use super::clients::clients;
use super::tickets::Tickets;
use gateway_ir::{
    Certificate, ClientValidation, HostPattern, ListenerFailure, ListenerId, ListenerTls,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use crate::secrets::{Secrets, WallClock};

/// Session tickets after a TLS 1.3 handshake; one serves a client that reconnects, each more costs bandwidth.
const TICKETS_PER_HANDSHAKE: usize = 1;
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// What TLS carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Http,
    Other,
}

/// Makes TLS settings, and remembers parsed keys by the content of the certificate.
#[derive(Debug)]
pub(super) struct TlsCompiler {
    provider: Arc<CryptoProvider>,
    /// By what is asked of clients: a session that began with less must not go on where more is asked.
    tickets: HashMap<Option<ClientValidation>, Arc<dyn ProducesTickets>>,
    /// What tickets are sealed with by all nodes; none: rustls draws keys and changes them by itself.
    secrets: Option<Secrets>,
    clock: WallClock,
    keys: HashMap<Arc<Certificate>, Arc<CertifiedKey>>,
    /// What was made for each listener last: most changes are those of routes.
    made: HashMap<ListenerId, Made>,
}

#[derive(Debug)]
struct Made {
    source: ListenerTls,
    inside: Inside,
    config: Arc<ServerConfig>,
}

impl TlsCompiler {
    pub(super) fn new(clock: WallClock) -> Self {
        Self {
            provider: Arc::new(aws_lc_rs::default_provider()),
            tickets: HashMap::new(),
            secrets: None,
            clock,
            keys: HashMap::new(),
            made: HashMap::new(),
        }
    }

    /// Takes other secrets for tickets into use.
    pub(super) fn set_secrets(&mut self, secrets: Option<Secrets>) {
        self.secrets = secrets;
        self.tickets.clear();
        self.made.clear();
    }

    /// The settings of a listener that ends TLS: those from before, if nothing about them has changed.
    pub(super) fn config(
        &mut self,
        listener: &ListenerId,
        tls: &ListenerTls,
        inside: Inside,
    ) -> Result<Arc<ServerConfig>, ListenerFailure> {
        let made = self.made.get(listener);
        if let Some(made) = made.filter(|it| it.inside == inside && it.source == *tls) {
            return Ok(Arc::clone(&made.config));
        }
        let config = self.make(listener, tls, inside)?;
        let made = Made {
            source: tls.clone(),
            inside,
            config: Arc::clone(&config),
        };
        self.made.insert(listener.clone(), made);
        Ok(config)
    }

    fn make(
        &mut self,
        listener: &ListenerId,
        tls: &ListenerTls,
        inside: Inside,
    ) -> Result<Arc<ServerConfig>, ListenerFailure> {
        let failure = |message| ListenerFailure {
            listener: listener.clone(),
            message,
        };
        let mut choices = Vec::new();
        for certificate in &tls.certificates {
            let key = self.key(certificate).map_err(|error| {
                failure(format!(
                    "the certificate of Secret {} cannot be used ({error}): replace it",
                    certificate.secret
                ))
            })?;
            choices.push(Choice::new(certificate, key));
        }
        if choices.is_empty() {
            return Err(failure(
                "the listener has no certificate: name a Secret in tls.certificateRefs".to_owned(),
            ));
        }
        let unusable = |error| failure(format!("TLS cannot be set up: {error}"));
        let clients = clients(tls.clients.as_ref(), &self.provider).map_err(unusable)?;
        let tickets = self.tickets(tls.clients.as_ref()).map_err(unusable)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&VERSIONS)
            .map_err(unusable)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(Certificates(choices)));
        if inside == Inside::Http {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        config.ticketer = tickets;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = TICKETS_PER_HANDSHAKE;
        Ok(Arc::new(config))
    }

    fn tickets(
        &mut self,
        clients: Option<&ClientValidation>,
    ) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        let clients = clients.cloned();
        if let Some(known) = self.tickets.get(&clients) {
            return Ok(Arc::clone(known));
        }
        let new: Arc<dyn ProducesTickets> = match &self.secrets {
            None => aws_lc_rs::Ticketer::new()?,
            Some(secrets) => Arc::new(Tickets::new(secrets, clients.as_ref(), self.clock)),
        };
        self.tickets.insert(clients, Arc::clone(&new));
        Ok(new)
    }

    /// Drops what no listener uses any more.
    pub(super) fn forget_unused(&mut self) {
        self.made
            .retain(|_, made| Arc::strong_count(&made.config) > 1);
        self.keys.retain(|_, key| Arc::strong_count(key) > 1);
        self.tickets
            .retain(|clients, tickets| clients.is_none() || Arc::strong_count(tickets) > 1);
    }

    fn key(&mut self, certificate: &Arc<Certificate>) -> Result<Arc<CertifiedKey>, rustls::Error> {
        if let Some(known) = self.keys.get(certificate) {
            return Ok(Arc::clone(known));
        }
        let chain = certificate.chain.iter().cloned();
        let key = PrivateKeyDer::try_from(certificate.key.der().to_vec())
            .map_err(|error| rustls::Error::General(error.to_owned()))?;
        let chain = chain.map(CertificateDer::from).collect();
        let key = Arc::new(CertifiedKey::from_der(chain, key, &self.provider)?);
        self.keys.insert(Arc::clone(certificate), Arc::clone(&key));
        Ok(key)
    }
}

/// The certificates of a listener, in its order.
#[derive(Debug)]
struct Certificates(Vec<Choice>);

#[derive(Debug)]
struct Choice {
    names: Vec<HostPattern>,
    key: Arc<CertifiedKey>,
}

impl Choice {
    fn new(certificate: &Certificate, key: Arc<CertifiedKey>) -> Self {
        let names = certificate.names.iter();
        Self {
            names: names.filter_map(|name| name.parse().ok()).collect(),
            key,
        }
    }

    fn covers(&self, server_name: &str) -> bool {
        self.names.iter().any(|name| match name {
            HostPattern::Exact(exact) => exact == server_name,
            // In a certificate a wildcard is exactly one label (RFC 9525 §6.3).
            HostPattern::Wildcard(suffix) => server_name
                .split_once('.')
                .is_some_and(|(_, rest)| rest == suffix),
            HostPattern::Any => false,
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let by_name = hello
            .server_name()
            .and_then(|name| self.0.iter().find(|choice| choice.covers(name)));
        // A certificate for another name tells the client more than a broken handshake does.
        let choice = by_name.or_else(|| self.0.first())?;
        Some(Arc::clone(&choice.key))
    }
}
