//! ClusterTrustBundle as of `certificates.k8s.io/v1` (Kubernetes 1.37), which is its `v1beta1`, too.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// Certificates of authorities for the whole cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTrustBundle {
    /// The group and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name, labels and so on.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The certificates.
    pub spec: ClusterTrustBundleSpec,
}

/// What a ClusterTrustBundle holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTrustBundleSpec {
    /// Whose certificates these are; empty: nobody's in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_name: Option<String>,
    /// The certificates, in PEM.
    pub trust_bundle: String,
}
