//! The objects that are made and changed in the cluster.

use std::path::Path;

use anyhow::ensure;
use futures_util::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::PATIENCE;

/// Requests to the API server at a time, where many are made.
pub(crate) const AT_ONCE: usize = 8;
/// The header of a response that says which change of the route it was given by.
pub(crate) const CHANGE: &str = "x-change";
/// The example's Service, which leads to its pods.
pub(crate) const SERVICE: &str = "echo";
/// A group and a kind of it.
type Kind = (&'static str, &'static str);

const GATEWAYS: Kind = ("gateway.networking.k8s.io", "Gateway");
const ROUTES: Kind = ("gateway.networking.k8s.io", "HTTPRoute");
const SERVICES: Kind = ("", "Service");
const SLICES: Kind = ("discovery.k8s.io", "EndpointSlice");

/// Where the application and its Gateway are.
const NAMESPACE: &str = "first";
/// How often a count is asked for.
const LOOK: Duration = Duration::from_millis(5);

/// An API server, with rights to everything.
#[derive(Clone)]
pub(crate) struct Objects {
    client: kube::Client,
}

impl Objects {
    /// Reads a kubeconfig; connections are this thread's network's.
    pub(crate) async fn connect(kubeconfig: &Path) -> anyhow::Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let client = kube::Client::try_from(config)?;
        Ok(Self { client })
    }

    /// The HTTPRoutes.
    pub(crate) fn routes(&self) -> Api<DynamicObject> {
        self.api(ROUTES)
    }

    /// Makes a route from `NAME.example` to a Service.
    pub(crate) async fn add_route(&self, name: &str, service: &str) -> anyhow::Result<()> {
        let route = json!({
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "parentRefs": [{"name": "first"}],
                "hostnames": [host(name)],
                "rules": [{"backendRefs": [{"name": service, "port": 80}]}],
            },
        });
        self.create(ROUTES, route).await
    }

    /// Changes a route so that its answers say so.
    pub(crate) async fn change_route(
        &self,
        name: &str,
        service: &str,
        change: usize,
    ) -> anyhow::Result<()> {
        let header = json!({"name": CHANGE, "value": change.to_string()});
        let rule = json!({
            "filters": [{
                "type": "ResponseHeaderModifier",
                "responseHeaderModifier": {"set": [header]},
            }],
            "backendRefs": [{"name": service, "port": 80}],
        });
        let patch = Patch::Merge(json!({"spec": {"rules": [rule]}}));
        let parameters = PatchParams::default();
        self.routes().patch(name, &parameters, &patch).await?;
        Ok(())
    }

    /// Makes a Service of the example's pods.
    pub(crate) async fn add_service(&self, name: &str) -> anyhow::Result<()> {
        let service = json!({
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"selector": {"app": "echo"}, "ports": [{"port": 80, "targetPort": 3000}]},
        });
        self.create(SERVICES, service).await
    }

    /// Makes routes with a Service and an EndpointSlice each, whose endpoints are nobody.
    pub(crate) async fn add_workloads(&self, count: usize) -> anyhow::Result<()> {
        let made = stream::iter(0..count).map(|number| self.add_workload(number));
        made.buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn add_workload(&self, number: usize) -> anyhow::Result<()> {
        let name = workload(number);
        let service = json!({
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"ports": [{"port": 80, "targetPort": 3000}]},
        });
        self.create(SERVICES, service).await?;
        let [.., high, low] = number.to_be_bytes();
        let slice = json!({
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": [format!("10.250.{high}.{low}")],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "name": name, "namespace": NAMESPACE},
            }],
            "ports": [{"port": 3000, "protocol": "TCP"}],
        });
        self.create(SLICES, slice).await?;
        self.add_route(&name, &name).await
    }

    /// Takes all routes away, and gives the time from the end of that to the right number in the Gateway's status.
    pub(crate) async fn remove_routes(&self) -> anyhow::Result<Duration> {
        let (how, which) = (DeleteParams::default(), ListParams::default());
        self.routes().delete_collection(&how, &which).await?;
        self.wait_for_attached(0).await
    }

    /// How long it takes until the Gateway's status has this number of routes.
    pub(crate) async fn wait_for_attached(&self, count: usize) -> anyhow::Result<Duration> {
        let start = Instant::now();
        loop {
            let (attached, _) = self.attached().await?;
            if attached == count as u64 {
                return Ok(start.elapsed());
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "{attached} routes are attached, not {count}"
            );
            sleep(LOOK).await;
        }
    }

    /// How many routes are attached to the Gateway, and its version.
    pub(crate) async fn attached(&self) -> anyhow::Result<(u64, Option<String>)> {
        let gateway = self.api(GATEWAYS).get("first").await?;
        let count = gateway.data.pointer("/status/listeners/0/attachedRoutes");
        let count = count.and_then(Value::as_u64).unwrap_or_default();
        Ok((count, gateway.metadata.resource_version))
    }

    async fn create(&self, kind: Kind, object: Value) -> anyhow::Result<()> {
        let mut object: DynamicObject = serde_json::from_value(object)?;
        object.types = Some(TypeMeta {
            api_version: resource(kind).api_version,
            kind: kind.1.to_owned(),
        });
        let api = self.api(kind);
        api.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource(kind))
    }
}

/// The host of a route.
pub(crate) fn host(route: &str) -> String {
    format!("{route}.example")
}

/// The name of a route with a Service of its own.
pub(crate) fn workload(number: usize) -> String {
    format!("workload-{number}")
}

fn resource((group, kind): Kind) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
}
