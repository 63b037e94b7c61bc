//! Certificates of clients and servers.

use std::sync::Arc;

use gateway_ir::{Certificate, ObjectName, PrivateKey};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

/// A self-signed certificate that is its own root.
pub(crate) struct Identity {
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    pub(crate) fn new(names: &[&str], uri: Option<&str>) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let uri = uri.map(|uri| SanType::URI(uri.try_into().expect("a URI")));
        params.subject_alt_names.extend(uri);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            der: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a root");
        Arc::new(roots)
    }

    pub(crate) fn certificate(&self) -> Arc<Certificate> {
        Arc::new(Certificate {
            secret: ObjectName::new("default", "cert"),
            chain: vec![self.der.to_vec()],
            key: PrivateKey::new(self.key.clone()),
            names: Vec::new(),
        })
    }

    /// The certificate as a root, in DER.
    pub(crate) fn root(&self) -> Vec<u8> {
        self.der.to_vec()
    }

    /// A client's settings: whom to trust, and what to show.
    pub(crate) fn client(&self, own: Option<&Self>) -> rustls::ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots());
        match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.clone()).expect("a key");
                builder
                    .with_client_auth_cert(vec![own.der.clone()], key)
                    .expect("a certificate")
            }
        }
    }

    /// A server's settings; asks clients for the certificate of another identity.
    pub(crate) fn config(&self, clients: Option<&Self>) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(clients.roots(), provider)
                    .build()
                    .expect("a verifier"),
            ),
        };
        let key = PrivateKeyDer::try_from(self.key.clone()).expect("a key");
        let mut config = builder
            .with_single_cert(vec![self.der.clone()], key)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}
