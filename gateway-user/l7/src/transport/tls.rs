//! TLS towards endpoints (Gateway API: `BackendTLSPolicy`).

use std::sync::Arc;

use gateway_ir::{BackendProtocol, BackendTls, SubjectName, Trust};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Purpose;

/// The system's roots, read when they are first asked for.
#[derive(Debug, Default)]
pub(super) struct Roots(Option<Arc<RootCertStore>>);

impl Roots {
    fn of(&mut self, trust: &Trust) -> Result<Arc<RootCertStore>, rustls::Error> {
        let roots = match trust {
            Trust::System => Arc::clone(self.0.get_or_insert_with(system_roots)),
            Trust::Roots(roots) => {
                let mut store = RootCertStore::empty();
                for root in roots {
                    store.add(CertificateDer::from(root.clone()))?;
                }
                Arc::new(store)
            }
        };
        if roots.is_empty() {
            return Err(rustls::Error::General("no root certificates".to_owned()));
        }
        Ok(roots)
    }
}

fn system_roots() -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "a part of the system's root certificates cannot be read");
    }
    store.add_parsable_certificates(found.certs);
    Arc::new(store)
}

/// The client's side of TLS for one policy.
#[derive(Debug)]
pub(super) struct ClientTls {
    pub(super) server_name: ServerName<'static>,
    requests: Arc<ClientConfig>,
    upgrades: Arc<ClientConfig>,
    streams: Arc<ClientConfig>,
}

impl ClientTls {
    pub(super) fn new(
        tls: &BackendTls,
        protocol: BackendProtocol,
        roots: &mut Roots,
    ) -> Result<Self, rustls::Error> {
        let server_name = ServerName::try_from(tls.hostname.clone())
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = roots.of(&tls.trust)?;
        let verifier = Verifier::new(roots, &tls.names, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &tls.client_certificate {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = own.chain.iter().cloned().map(CertificateDer::from);
                let key = PrivateKeyDer::try_from(own.key.der().to_vec())
                    .map_err(|error| rustls::Error::General(error.to_owned()))?;
                builder.with_client_auth_cert(chain.collect(), key)?
            }
        };
        let offering = |names: &[&str]| {
            let mut config = config.clone();
            config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self {
            server_name,
            requests: match protocol {
                BackendProtocol::Http => offering(&["h2", "http/1.1"]),
                BackendProtocol::Http2 => offering(&["h2"]),
            },
            upgrades: offering(&["http/1.1"]),
            streams: offering(&[]),
        })
    }

    /// The settings for a connection.
    pub(super) fn config(&self, purpose: Purpose) -> Arc<ClientConfig> {
        Arc::clone(match purpose {
            Purpose::Requests => &self.requests,
            Purpose::Upgrade => &self.upgrades,
            Purpose::Stream => &self.streams,
        })
    }
}

/// Verifies endpoints' certificates: a chain to a root, and one of the names.
#[derive(Debug)]
struct Verifier {
    roots: Arc<RootCertStore>,
    /// Empty: the server name.
    names: Vec<SubjectName>,
    provider: Arc<CryptoProvider>,
    signatures: Arc<WebPkiServerVerifier>,
}

impl Verifier {
    fn new(
        roots: Arc<RootCertStore>,
        names: &[SubjectName],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let (own, provider) = (Arc::clone(&roots), Arc::clone(provider));
        let signatures = WebPkiServerVerifier::builder_with_provider(own, Arc::clone(&provider));
        Ok(Self {
            roots,
            names: names.to_vec(),
            provider,
            signatures: signatures
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        if self.names.is_empty() {
            verify_server_name(&certificate, server_name)?;
        } else if !has_any(end_entity, &certificate, &self.names) {
            return Err(CertificateError::NotValidForName.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}

/// Gateway API, `BackendTLSPolicyValidation.subjectAltNames`: at least one must be in the certificate.
fn has_any(
    der: &CertificateDer<'_>,
    certificate: &ParsedCertificate<'_>,
    names: &[SubjectName],
) -> bool {
    let parsed = X509Certificate::from_der(der).ok();
    let extension = parsed.as_ref().and_then(|(_, parsed)| {
        let extension = parsed.subject_alternative_name().ok().flatten();
        extension.map(|extension| &extension.value.general_names)
    });
    let listed = |wanted: &dyn Fn(&GeneralName<'_>) -> bool| {
        extension.is_some_and(|names| names.iter().any(wanted))
    };
    names.iter().any(|name| match name {
        SubjectName::Uri(uri) => {
            listed(&|name| matches!(name, GeneralName::URI(shown) if shown == uri))
        }
        // A wildcard is a name of the certificate itself, letter for letter.
        SubjectName::Dns(dns) if dns.starts_with("*.") => listed(
            &|name| matches!(name, GeneralName::DNSName(shown) if shown.eq_ignore_ascii_case(dns)),
        ),
        SubjectName::Dns(dns) => ServerName::try_from(dns.as_str())
            .is_ok_and(|name| verify_server_name(certificate, &name).is_ok()),
    })
}
