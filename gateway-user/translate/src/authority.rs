//! References to certificates of authorities.

use gateway_ir::ObjectName;

use crate::conv;
use crate::inputs::Inputs;
use crate::model::ObjectRef;

/// What is wrong with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is to something that holds no certificates of authorities.
    Kind,
    /// There is none, or it holds no certificate.
    Content,
}

/// The certificates that a caCertificateRef leads to, in DER and at least one.
pub(crate) fn roots(
    reference: &ObjectRef,
    inputs: &Inputs,
) -> Result<Vec<Vec<u8>>, (Fault, String)> {
    let ObjectRef {
        group, kind, name, ..
    } = reference;
    let roots = match (group.as_str(), kind.as_str()) {
        ("", "ConfigMap") => match inputs.config_maps.get(name) {
            Some(map) => conv::certificates::of_config_map(name, map),
            None => Err(format!("there is no ConfigMap {name}")),
        },
        ("certificates.k8s.io", "ClusterTrustBundle") => {
            // The reference has no namespace, and what it is to has none either.
            let name = &ObjectName::new("", &name.name);
            match inputs.cluster_trust_bundles.get(name) {
                Some(bundle) => conv::certificates::of_bundle(name, bundle),
                None => Err(format!("there is no ClusterTrustBundle {name}")),
            }
        }
        _other => {
            let message = format!(
                "caCertificateRef {name} is a {kind} of group {group:?}; it must be a ConfigMap of group \"\" or a \
                 ClusterTrustBundle of group certificates.k8s.io"
            );
            return Err((Fault::Kind, message));
        }
    };
    roots.map_err(|message| (Fault::Content, message))
}
