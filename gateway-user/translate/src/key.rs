//! What objects are called: the kinds that are read, and names.

use std::fmt;

use gateway_ir::ObjectName;
use serde::{Serialize, Serializer};

/// A kind of object that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// sanmon.dev
    SanmonConfig,
    /// sanmon.dev
    SanmonGatewayConfig,
    /// gateway.networking.k8s.io
    GatewayClass,
    /// gateway.networking.k8s.io
    Gateway,
    /// gateway.networking.k8s.io
    ListenerSet,
    /// gateway.networking.k8s.io
    HttpRoute,
    /// gateway.networking.k8s.io
    GrpcRoute,
    /// gateway.networking.k8s.io
    TlsRoute,
    /// gateway.networking.k8s.io
    TcpRoute,
    /// gateway.networking.k8s.io
    UdpRoute,
    /// gateway.networking.k8s.io
    BackendTlsPolicy,
    /// gateway.networking.k8s.io
    ReferenceGrant,
    /// core
    Service,
    /// discovery.k8s.io
    EndpointSlice,
    /// core
    Secret,
    /// core
    ConfigMap,
    /// certificates.k8s.io
    ClusterTrustBundle,
    /// core
    Namespace,
    /// core
    Node,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 19] = [
        Self::SanmonConfig,
        Self::SanmonGatewayConfig,
        Self::GatewayClass,
        Self::Gateway,
        Self::ListenerSet,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TcpRoute,
        Self::UdpRoute,
        Self::BackendTlsPolicy,
        Self::ReferenceGrant,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::ConfigMap,
        Self::ClusterTrustBundle,
        Self::Namespace,
        Self::Node,
    ];

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The name, as in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SanmonConfig => "SanmonConfig",
            Self::SanmonGatewayConfig => "SanmonGatewayConfig",
            Self::GatewayClass => "GatewayClass",
            Self::Gateway => "Gateway",
            Self::ListenerSet => "ListenerSet",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::TlsRoute => "TLSRoute",
            Self::TcpRoute => "TCPRoute",
            Self::UdpRoute => "UDPRoute",
            Self::BackendTlsPolicy => "BackendTLSPolicy",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::ClusterTrustBundle => "ClusterTrustBundle",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
        }
    }

    /// The values of `apiVersion` that are read.
    pub const fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::SanmonConfig | Self::SanmonGatewayConfig => &["sanmon.dev/v1alpha1"],
            Self::GatewayClass
            | Self::Gateway
            | Self::ListenerSet
            | Self::HttpRoute
            | Self::GrpcRoute
            | Self::TlsRoute
            | Self::TcpRoute
            | Self::UdpRoute
            | Self::BackendTlsPolicy => &["gateway.networking.k8s.io/v1"],
            Self::ReferenceGrant => &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1beta1",
            ],
            Self::EndpointSlice => &["discovery.k8s.io/v1"],
            Self::ClusterTrustBundle => &["certificates.k8s.io/v1", "certificates.k8s.io/v1beta1"],
            Self::Service | Self::Secret | Self::ConfigMap | Self::Namespace | Self::Node => {
                &["v1"]
            }
        }
    }

    /// Whether its objects live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        match self {
            Self::SanmonConfig
            | Self::GatewayClass
            | Self::ClusterTrustBundle
            | Self::Namespace
            | Self::Node => false,
            Self::SanmonGatewayConfig
            | Self::Gateway
            | Self::ListenerSet
            | Self::HttpRoute
            | Self::GrpcRoute
            | Self::TlsRoute
            | Self::TcpRoute
            | Self::UdpRoute
            | Self::BackendTlsPolicy
            | Self::ReferenceGrant
            | Self::Service
            | Self::EndpointSlice
            | Self::Secret
            | Self::ConfigMap => true,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Kind and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// Namespace and name.
    #[serde(flatten)]
    pub name: ObjectName,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
