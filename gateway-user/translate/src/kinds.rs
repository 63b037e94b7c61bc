//! The Kubernetes types of the objects that are read.
//!
//! The experimental channel's types are a superset: they read standard objects too.

pub use gateway_api::backendtlspolicies::BackendTlsPolicy;
pub use gateway_api::experimental::gatewayclasses::GatewayClass;
pub use gateway_api::experimental::gateways::Gateway;
pub use gateway_api::experimental::listenersets::ListenerSet;
pub use gateway_api::experimental::referencegrants::ReferenceGrant;
pub use gateway_api::experimental::tlsroutes::TlsRoute;
pub use gateway_crds::grpcroutes::GrpcRoute;
pub use gateway_crds::httproutes::HttpRoute;
pub use gateway_crds::tcproutes::TcpRoute;
pub use gateway_crds::udproutes::UdpRoute;
pub use gateway_crds::{
    ClusterTrustBundle, EndpointSlice, SanmonConfig, SanmonGatewayConfig, Service,
};
pub use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Secret};
