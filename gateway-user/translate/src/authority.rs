//! References to certificates of authorities.

use std::sync::Arc;

use gateway_ir::ObjectName;

use crate::conv;
use crate::inputs::Inputs;
use crate::model::ObjectRef;
use crate::status::Kind;

/// What is wrong with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is to a kind that is not served.
    Kind,
    /// There is none, or it holds no certificate.
    Content,
}

/// The kinds that hold certificates of authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Of a namespace: another namespace's needs a ReferenceGrant.
    ConfigMap,
    /// Of the cluster: everybody may use it.
    ClusterTrustBundle,
}

/// What kind of object a caCertificateRef names; none: one that is not served.
pub(crate) fn holder(reference: &ObjectRef, inputs: &Inputs) -> Option<Holder> {
    let served = inputs.served.as_deref();
    let is_off = served.is_some_and(|it| it.missing.contains(&Kind::ClusterTrustBundle));
    match (reference.group.as_str(), reference.kind.as_str()) {
        ("", "ConfigMap") => Some(Holder::ConfigMap),
        ("certificates.k8s.io", "ClusterTrustBundle") if !is_off => {
            Some(Holder::ClusterTrustBundle)
        }
        _other => None,
    }
}

/// The certificates that a caCertificateRef leads to, in DER and at least one.
pub(crate) fn roots(
    reference: &ObjectRef,
    inputs: &Inputs,
) -> Result<Vec<Vec<u8>>, (Fault, String)> {
    let name = &reference.name;
    let content = |message| (Fault::Content, message);
    match holder(reference, inputs) {
        Some(Holder::ConfigMap) => {
            let map = inputs.config_maps.get(name);
            let map = map.ok_or_else(|| content(format!("there is no ConfigMap {name}")))?;
            conv::certificates::of_config_map(name, map).map_err(content)
        }
        Some(Holder::ClusterTrustBundle) => {
            let name = ObjectName::new("", Arc::clone(&name.name));
            let bundle = inputs.cluster_trust_bundles.get(&name);
            let missing = || content(format!("there is no ClusterTrustBundle {name}"));
            conv::certificates::of_bundle(&name, bundle.ok_or_else(missing)?).map_err(content)
        }
        None => {
            let kind = &reference.kind;
            let message = format!(
                "caCertificateRef {name} is a {kind}; it must be a ConfigMap, or a ClusterTrustBundle where the API server has them"
            );
            Err((Fault::Kind, message))
        }
    }
}
