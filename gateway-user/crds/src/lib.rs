//! Sanmon's own custom resources, and the Gateway API types that the `gateway-api` crate lacks or has in an older form.
//!
//! Types, and what API servers refuse of objects: what a field means for the data planes is decided by `gateway-translate`.

#![forbid(unsafe_code)]

pub mod cluster_trust_bundle;
mod enum_defaults;
pub mod gateway_proxy;
#[rustfmt::skip]
pub mod grpcroutes;
#[rustfmt::skip]
pub mod httproutes;
pub mod rules;
pub mod sanmon_config;
pub mod sanmon_gateway_config;
#[rustfmt::skip]
pub mod tcproutes;
#[rustfmt::skip]
pub mod udproutes;

pub use cluster_trust_bundle::ClusterTrustBundle;
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
