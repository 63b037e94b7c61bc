//! Certificates of authorities, out of ConfigMaps and ClusterTrustBundles.

use gateway_ir::ObjectName;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::kinds::{ClusterTrustBundle, ConfigMap};

/// The key that holds them (Gateway API: "a ConfigMap with the key `ca.crt`").
const KEY: &str = "ca.crt";

/// Reads the certificates of a ConfigMap in DER, at least one, or says what is wrong.
pub(crate) fn of_config_map(name: &ObjectName, map: &ConfigMap) -> Result<Vec<Vec<u8>>, String> {
    let data = map.data.as_ref().and_then(|data| data.get(KEY));
    let data = data.ok_or_else(|| format!("ConfigMap {name} has no {KEY}"))?;
    roots(data, &format!("{KEY} of ConfigMap {name}"))
}

/// Reads the certificates of a ClusterTrustBundle in DER, at least one, or says what is wrong.
pub(crate) fn of_bundle(
    name: &ObjectName,
    bundle: &ClusterTrustBundle,
) -> Result<Vec<Vec<u8>>, String> {
    let what = format!("trustBundle of ClusterTrustBundle {name}");
    roots(&bundle.spec.trust_bundle, &what)
}

fn roots(text: &str, what: &str) -> Result<Vec<Vec<u8>>, String> {
    let roots = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{what} is not PEM: {error}"))?;
    if roots.is_empty() {
        return Err(format!("{what} has no certificate"));
    }
    if roots
        .iter()
        .any(|it| X509Certificate::from_der(it).is_err())
    {
        return Err(format!("{what} is not X.509"));
    }
    Ok(roots.iter().map(|it| it.to_vec()).collect())
}
