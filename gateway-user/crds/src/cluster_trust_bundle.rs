//! `ClusterTrustBundle` of certificates.k8s.io: v1 since Kubernetes 1.37, v1beta1 since 1.33, with the same fields.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Certificates of authorities for the whole cluster. Kubernetes' own type, of which an API server needs no CRD.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "certificates.k8s.io",
    version = "v1",
    kind = "ClusterTrustBundle",
    plural = "clustertrustbundles",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTrustBundleSpec {
    /// The signer that the certificates belong to; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_name: Option<String>,
    /// X.509 certificates in PEM, in no order that means something.
    pub trust_bundle: String,
}
