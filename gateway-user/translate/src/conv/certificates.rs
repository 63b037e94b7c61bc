//! Certificates of authorities, out of ConfigMaps and ClusterTrustBundles.

use gateway_ir::ObjectName;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::kinds::{ClusterTrustBundle, ConfigMap};

/// The key that holds them (Gateway API: "a ConfigMap with the key `ca.crt`").
const KEY: &str = "ca.crt";

/// Certificates in DER, at least one, or what is wrong.
pub(crate) type Roots = Result<Vec<Vec<u8>>, String>;

/// Reads a ConfigMap.
pub(crate) fn of_config_map(name: &ObjectName, map: &ConfigMap) -> Roots {
    let data = map.data.as_ref().and_then(|data| data.get(KEY));
    let data = data.ok_or_else(|| format!("ConfigMap {name} has no {KEY}"))?;
    roots(&format!("{KEY} of ConfigMap {name}"), data)
}

/// Reads a ClusterTrustBundle.
pub(crate) fn of_bundle(name: &ObjectName, bundle: &ClusterTrustBundle) -> Roots {
    let subject = format!("trustBundle of ClusterTrustBundle {name}");
    roots(&subject, &bundle.spec.trust_bundle)
}

fn roots(subject: &str, pem: &str) -> Roots {
    let roots = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{subject} is not PEM: {error}"))?;
    if roots.is_empty() {
        return Err(format!("{subject} has no certificate"));
    }
    if roots
        .iter()
        .any(|it| X509Certificate::from_der(it).is_err())
    {
        return Err(format!("{subject} is not X.509"));
    }
    Ok(roots.iter().map(|it| it.to_vec()).collect())
}
