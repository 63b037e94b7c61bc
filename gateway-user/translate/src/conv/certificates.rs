//! Certificates of authorities, out of ConfigMaps.

use gateway_ir::ObjectName;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::kinds::ConfigMap;

/// The key that holds them (Gateway API: "a ConfigMap with the key `ca.crt`").
const KEY: &str = "ca.crt";

/// Reads the certificates in DER, at least one, or says what is wrong.
pub(crate) fn roots(name: &ObjectName, map: &ConfigMap) -> Result<Vec<Vec<u8>>, String> {
    let data = map.data.as_ref().and_then(|data| data.get(KEY));
    let data = data.ok_or_else(|| format!("ConfigMap {name} has no {KEY}"))?;
    let roots = CertificateDer::pem_slice_iter(data.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{KEY} of ConfigMap {name} is not PEM: {error}"))?;
    if roots.is_empty() {
        return Err(format!("{KEY} of ConfigMap {name} has no certificate"));
    }
    if roots
        .iter()
        .any(|it| X509Certificate::from_der(it).is_err())
    {
        return Err(format!("{KEY} of ConfigMap {name} is not X.509"));
    }
    Ok(roots.iter().map(|it| it.to_vec()).collect())
}
