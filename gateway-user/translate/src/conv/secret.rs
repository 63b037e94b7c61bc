//! TLS Secrets.

use std::sync::Arc;

use gateway_ir::{Certificate, ObjectName, PrivateKey};
use k8s_openapi::jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::kinds::Secret;

/// Reads `tls.crt` and `tls.key` and proves that they belong together, or says what is wrong.
pub(crate) fn certificate(name: &ObjectName, secret: &Secret) -> Result<Arc<Certificate>, String> {
    let field = |key: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(key));
        data.map(|bytes| bytes.0.as_slice())
            .ok_or(format!("Secret {name} has no {key}"))
    };
    let chain = CertificateDer::pem_slice_iter(field("tls.crt")?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("tls.crt of Secret {name} is not PEM: {error}"))?;
    let leaf = chain
        .first()
        .ok_or(format!("tls.crt of Secret {name} has no certificate"))?;
    let names = dns_names(leaf).ok_or(format!("tls.crt of Secret {name} is not X.509"))?;
    let key = PrivateKeyDer::from_pem_slice(field("tls.key")?)
        .map_err(|error| format!("tls.key of Secret {name} is not a PEM key: {error}"))?;
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider)
        .map_err(|error| format!("tls.crt and tls.key of Secret {name} do not fit: {error}"))?;
    Ok(Arc::new(Certificate {
        secret: name.clone(),
        chain: chain.iter().map(|der| der.to_vec()).collect(),
        key: PrivateKey::new(key.secret_der().to_vec()),
        names,
    }))
}

/// When all certificates of a chain are valid, in seconds since 1970: from and to; none: one cannot be read.
pub(crate) fn validity(certificate: &Certificate) -> Option<(i64, i64)> {
    let mut span = (i64::MIN, i64::MAX);
    for der in &certificate.chain {
        let (_rest, parsed) = X509Certificate::from_der(der).ok()?;
        let (from, to) = (parsed.validity().not_before, parsed.validity().not_after);
        span = (span.0.max(from.timestamp()), span.1.min(to.timestamp()));
    }
    Some(span)
}

/// A time as conditions have it.
pub(crate) fn time(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds);
    time.map_or_else(|_beyond| seconds.to_string(), |time| time.to_string())
}

/// The DNS names of a certificate; none: it is not one.
fn dns_names(leaf: &[u8]) -> Option<Vec<String>> {
    let (_rest, certificate) = X509Certificate::from_der(leaf).ok()?;
    let extension = certificate.subject_alternative_name().ok()?;
    let names = extension
        .map(|it| it.value.general_names.as_slice())
        .unwrap_or_default();
    let dns = names.iter().filter_map(|name| {
        if let GeneralName::DNSName(dns) = name {
            Some(dns.to_ascii_lowercase())
        } else {
            None
        }
    });
    Some(dns.collect())
}
