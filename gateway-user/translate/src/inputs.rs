//! The objects that are translated, by name.

use std::sync::Arc;

use gateway_ir::{ObjectName, SharedMap};

use crate::kinds::{
    BackendTlsPolicy, ClusterTrustBundle, ConfigMap, EndpointSlice, Gateway, GatewayClass,
    GrpcRoute, HttpRoute, ListenerSet, Namespace, Node, ReferenceGrant, SanmonConfig,
    SanmonGatewayConfig, Secret, Service, TcpRoute, TlsRoute, UdpRoute,
};
use crate::object::Object;
use crate::served::Served;
use crate::status::{Kind, ObjectKey};

/// Everything that is read, from files or from the API server. A copy shares all objects, and costs next to nothing.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// GatewayClasses, ours and others.
    pub gateway_classes: SharedMap<ObjectName, Arc<GatewayClass>>,
    /// Gateways of any class.
    pub gateways: SharedMap<ObjectName, Arc<Gateway>>,
    /// ListenerSets.
    pub listener_sets: SharedMap<ObjectName, Arc<ListenerSet>>,
    /// HTTPRoutes.
    pub http_routes: SharedMap<ObjectName, Arc<HttpRoute>>,
    /// GRPCRoutes.
    pub grpc_routes: SharedMap<ObjectName, Arc<GrpcRoute>>,
    /// TLSRoutes.
    pub tls_routes: SharedMap<ObjectName, Arc<TlsRoute>>,
    /// TCPRoutes.
    pub tcp_routes: SharedMap<ObjectName, Arc<TcpRoute>>,
    /// UDPRoutes.
    pub udp_routes: SharedMap<ObjectName, Arc<UdpRoute>>,
    /// BackendTLSPolicies.
    pub backend_tls_policies: SharedMap<ObjectName, Arc<BackendTlsPolicy>>,
    /// ReferenceGrants.
    pub reference_grants: SharedMap<ObjectName, Arc<ReferenceGrant>>,
    /// Services.
    pub services: SharedMap<ObjectName, Arc<Service>>,
    /// EndpointSlices; found by their label `kubernetes.io/service-name`.
    pub endpoint_slices: SharedMap<ObjectName, Arc<EndpointSlice>>,
    /// Secrets.
    pub secrets: SharedMap<ObjectName, Arc<Secret>>,
    /// ConfigMaps.
    pub config_maps: SharedMap<ObjectName, Arc<ConfigMap>>,
    /// ClusterTrustBundles.
    pub cluster_trust_bundles: SharedMap<ObjectName, Arc<ClusterTrustBundle>>,
    /// Namespaces, for their labels.
    pub namespaces: SharedMap<ObjectName, Arc<Namespace>>,
    /// Nodes, for their addresses.
    pub nodes: SharedMap<ObjectName, Arc<Node>>,
    /// SanmonConfigs.
    pub sanmon_configs: SharedMap<ObjectName, Arc<SanmonConfig>>,
    /// SanmonGatewayConfigs.
    pub sanmon_gateway_configs: SharedMap<ObjectName, Arc<SanmonGatewayConfig>>,
    /// What of the Gateway API there can be; none: everything, as in files.
    pub served: Option<Arc<Served>>,
}

impl Inputs {
    /// Adds an object, in place of one of the same kind and name.
    pub fn insert(&mut self, object: Object) {
        let name = object.key().name;
        match object {
            Object::GatewayClass(it) => drop(self.gateway_classes.insert(name, it)),
            Object::Gateway(it) => drop(self.gateways.insert(name, it)),
            Object::HttpRoute(it) => drop(self.http_routes.insert(name, it)),
            Object::GrpcRoute(it) => drop(self.grpc_routes.insert(name, it)),
            Object::TlsRoute(it) => drop(self.tls_routes.insert(name, it)),
            Object::BackendTlsPolicy(it) => drop(self.backend_tls_policies.insert(name, it)),
            Object::ListenerSet(it) => drop(self.listener_sets.insert(name, it)),
            Object::TcpRoute(it) => drop(self.tcp_routes.insert(name, it)),
            Object::UdpRoute(it) => drop(self.udp_routes.insert(name, it)),
            Object::ReferenceGrant(it) => drop(self.reference_grants.insert(name, it)),
            Object::Service(it) => drop(self.services.insert(name, it)),
            Object::EndpointSlice(it) => drop(self.endpoint_slices.insert(name, it)),
            Object::Secret(it) => drop(self.secrets.insert(name, it)),
            Object::ConfigMap(it) => drop(self.config_maps.insert(name, it)),
            Object::ClusterTrustBundle(it) => drop(self.cluster_trust_bundles.insert(name, it)),
            Object::Namespace(it) => drop(self.namespaces.insert(name, it)),
            Object::Node(it) => drop(self.nodes.insert(name, it)),
            Object::SanmonConfig(it) => drop(self.sanmon_configs.insert(name, it)),
            Object::SanmonGatewayConfig(it) => {
                drop(self.sanmon_gateway_configs.insert(name, it));
            }
        }
    }

    /// Takes an object away; what is not there is no fault.
    pub fn remove(&mut self, key: &ObjectKey) {
        let name = &key.name;
        match key.kind {
            Kind::GatewayClass => drop(self.gateway_classes.remove(name)),
            Kind::Gateway => drop(self.gateways.remove(name)),
            Kind::ListenerSet => drop(self.listener_sets.remove(name)),
            Kind::HttpRoute => drop(self.http_routes.remove(name)),
            Kind::GrpcRoute => drop(self.grpc_routes.remove(name)),
            Kind::TlsRoute => drop(self.tls_routes.remove(name)),
            Kind::BackendTlsPolicy => drop(self.backend_tls_policies.remove(name)),
            Kind::TcpRoute => drop(self.tcp_routes.remove(name)),
            Kind::UdpRoute => drop(self.udp_routes.remove(name)),
            Kind::ReferenceGrant => drop(self.reference_grants.remove(name)),
            Kind::Service => drop(self.services.remove(name)),
            Kind::EndpointSlice => drop(self.endpoint_slices.remove(name)),
            Kind::Secret => drop(self.secrets.remove(name)),
            Kind::ConfigMap => drop(self.config_maps.remove(name)),
            Kind::ClusterTrustBundle => drop(self.cluster_trust_bundles.remove(name)),
            Kind::Namespace => drop(self.namespaces.remove(name)),
            Kind::Node => drop(self.nodes.remove(name)),
            Kind::SanmonConfig => drop(self.sanmon_configs.remove(name)),
            Kind::SanmonGatewayConfig => drop(self.sanmon_gateway_configs.remove(name)),
        }
    }
}
