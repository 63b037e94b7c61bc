//! Certificates, and clients that trust them.

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

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

    /// The settings of a client that trusts this certificate.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let root: CertificateDer<'static> = self.certificate.der().clone();
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// Connects to a port of loopback by a server name; the handshake takes place with the first bytes.
pub(crate) fn connect(port: u16, name: &str, config: &Arc<ClientConfig>) -> Tls {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::clone(config), name).expect("settings");
    StreamOwned::new(session, tcp(port))
}
