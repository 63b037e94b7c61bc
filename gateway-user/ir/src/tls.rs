//! Certificates with their private keys.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::ObjectName;

/// A certificate chain and its key, known to fit together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Certificate {
    /// The Secret.
    pub secret: ObjectName,
    /// The chain in DER, the leaf first.
    #[serde(serialize_with = "chain_length")]
    pub chain: Vec<Vec<u8>>,
    /// The leaf's key.
    pub key: PrivateKey,
    /// The DNS names of the leaf (subject alternative names), in lower case: chooses among several by SNI.
    pub names: Vec<String>,
}

/// Which certificates of clients a listener takes (Gateway API: `FrontendTLSValidation`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ClientValidation {
    /// The roots, in DER; not empty.
    #[serde(serialize_with = "chain_length")]
    pub roots: Vec<Vec<u8>>,
    /// What happens to clients without a valid certificate.
    pub mode: ClientValidationMode,
}

/// What happens to clients without a valid certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ClientValidationMode {
    /// The handshake fails.
    AllowValidOnly,
    /// The certificate is asked for, and any or none is taken.
    AllowInsecureFallback,
}

/// TLS towards endpoints (Gateway API: `BackendTLSPolicy`, `Gateway.spec.tls.backend`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BackendTls {
    /// The SNI, and the name to verify unless `names` has any.
    pub hostname: String,
    /// Whom to trust.
    pub trust: Trust,
    /// Subject alternative names, one of which the endpoint must have; empty: `hostname`.
    pub names: Vec<SubjectName>,
    /// The Gateway's own certificate, shown when the endpoint asks.
    pub client_certificate: Option<Arc<Certificate>>,
}

/// Whom a connection to an endpoint trusts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Trust {
    /// The system's roots.
    System,
    /// These roots, in DER; not empty.
    Roots(#[serde(serialize_with = "chain_length")] Vec<Vec<u8>>),
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum SubjectName {
    /// A DNS name, in lower case; may begin with `*.`.
    Dns(String),
    /// A URI, byte for byte.
    Uri(String),
}

/// A private key in DER (PKCS#8, PKCS#1 or SEC1) that never shows itself in logs or dumps.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrivateKey(Vec<u8>);

impl PrivateKey {
    /// Wraps a key.
    pub fn new(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// The key's bytes; for the TLS library only.
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

impl Serialize for PrivateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("redacted")
    }
}

fn chain_length<S: Serializer>(chain: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{} certificates", chain.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_never_shows_itself() {
        let certificate = Certificate {
            secret: ObjectName::new("default", "cert"),
            chain: vec![b"leaf".to_vec()],
            key: PrivateKey::new(b"TOPSECRET".to_vec()),
            names: vec!["a.b".to_owned()],
        };
        let shown = format!(
            "{certificate:?} {}",
            serde_json::to_string(&certificate).expect("serializes")
        );
        assert!(
            !shown.contains("TOPSECRET") && !shown.contains("84, 79, 80"),
            "{shown}"
        );
        assert!(shown.contains("redacted"));
    }
}
