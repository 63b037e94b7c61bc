//! Sanmon's own custom resources, and the Gateway API types that the `gateway-api` crate lacks or has in an older form. Also
//! what is read of Services and EndpointSlices, whose own types are large.
//!
//! Types, and what API servers refuse of objects: what a field means for the data planes is decided by `gateway-translate`.

#![forbid(unsafe_code)]

pub mod cluster_trust_bundle;
pub mod endpoint_slice;
mod enum_defaults;
pub mod gateway_proxy;
#[rustfmt::skip]
pub mod grpcroutes;
#[rustfmt::skip]
pub mod httproutes;
pub mod rules;
pub mod sanmon_config;
pub mod sanmon_gateway_config;
pub mod service;
#[rustfmt::skip]
pub mod tcproutes;
#[rustfmt::skip]
pub mod udproutes;

pub use cluster_trust_bundle::ClusterTrustBundle;
pub use endpoint_slice::EndpointSlice;
pub use gateway_proxy::{
    Forwarded, GatewayProxy, GrpcWeb, ProxyProtocolPort, ProxyProtocolVersion, ReceiveProxyHeaders,
};
pub use sanmon_config::{
    AddressPool, Announcement, ConflictPolicy, Datapath, Mode, Proxy, SanmonConfig,
    SanmonConfigSpec, SanmonConfigStatus, Voters,
};
pub use sanmon_gateway_config::{
    SanmonGatewayConfig, SanmonGatewayConfigSpec, SanmonGatewayConfigStatus,
};
pub use service::Service;
