//! Certificates, and clients that trust them.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, ServerConfig, StreamOwned,
};

use crate::http::tcp;

/// A self-signed certificate that is its own root.
pub(crate) struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// A connection inside TLS.
pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Identity {
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, key }
    }

    /// One that is valid from and to a time after 1970.
    pub(crate) fn valid(name: &str, (from, to): (Duration, Duration)) -> Self {
        let params = CertificateParams::new(vec![name.to_owned()]);
        let mut params = params.expect("a name");
        let epoch = date_time_ymd(1970, 1, 1);
        (params.not_before, params.not_after) = (epoch + from, epoch + to);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, key }
    }

    /// The certificate and its key, in PEM.
    pub(crate) fn pem(&self) -> (String, String) {
        (self.certificate.pem(), self.key.serialize_pem())
    }

    /// A Secret of type `kubernetes.io/tls`.
    pub(crate) fn secret(&self, name: &str) -> String {
        let indent = |pem: String| pem.replace('\n', "\n    ");
        format!(
            "apiVersion: v1
kind: Secret
metadata: {{name: {name}}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
    {}
  tls.key: |
    {}
",
            indent(self.certificate.pem()),
            indent(self.key.serialize_pem())
        )
    }

    /// A ConfigMap with the certificate as a root.
    pub(crate) fn authority(&self, name: &str) -> String {
        let pem = self.certificate.pem().replace('\n', "\n    ");
        format!(
            "apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data:
  ca.crt: |
    {pem}
"
        )
    }

    /// The settings of a client that trusts this certificate.
    pub(crate) fn client(&self) -> ClientConfig {
        self.trusting().with_no_client_auth()
    }

    /// The settings of a client that trusts each of these.
    pub(crate) fn clients_of_any(identities: &[Self]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(identities.iter().map(Self::der));
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// The same for a client that shows a certificate of its own.
    pub(crate) fn client_showing(&self, own: &Self) -> ClientConfig {
        let builder = self.trusting();
        let config = builder.with_client_auth_cert(vec![own.der()], own.key());
        config.expect("a certificate")
    }

    /// The settings of a server; it asks clients for the certificate of another identity, if there is one.
    pub(crate) fn server(&self, clients: Option<&Self>) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(clients.roots());
                let asking = WebPkiClientVerifier::builder_with_provider(roots, provider());
                builder.with_client_cert_verifier(asking.build().expect("a verifier"))
            }
        };
        let config = builder.with_single_cert(vec![self.der()], self.key());
        config.expect("a certificate")
    }

    fn trusting(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der()).expect("a root");
        roots
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key")
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Connects to a port of loopback by a server name; the handshake takes place with the first bytes.
pub(crate) fn connect(port: u16, name: &str, config: &Arc<ClientConfig>) -> Tls {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::clone(config), name).expect("settings");
    StreamOwned::new(session, tcp(port))
}
