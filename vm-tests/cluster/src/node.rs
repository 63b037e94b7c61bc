//! A node: a host on the LAN, its Node object, and its kubelet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gateway_vm_tests::{Host, Task};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::kubelet::{self, Kubelet, Settings};
use crate::{clock, control_plane, tell_error};

/// The controllers take a node for dead 50 s after its last heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a node may take to register.
const REGISTER_MAX: Duration = Duration::from_secs(30);
/// Who applies the fields of Node objects.
const MANAGER: &str = "testbed-kubelet";

/// A running node. Its pods end with it.
#[derive(Debug)]
pub(crate) struct Node {
    _work: Task<()>,
    _host: Arc<Host>,
}

impl Node {
    /// Registers a host as a node and starts its kubelet.
    pub(crate) fn start(
        host: Arc<Host>,
        kubeconfig: PathBuf,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        let name = host.namespace.name().to_owned();
        let address = host.address.to_string();
        let connected = kubeconfig.clone();
        host.namespace
            .spawn(move || async move {
                let client = control_plane::client(&connected).await?;
                register(&client, &name, &address).await?;
                beat(&client, &name).await
            })
            .join(REGISTER_MAX)
            .with_context(|| format!("{} does not register", host.namespace.name()))?;
        let inside = Arc::clone(&host);
        let work = host.namespace.spawn(move || async move {
            let client = control_plane::client(&kubeconfig).await?;
            let name = inside.namespace.name().to_owned();
            let kubelet = Kubelet::new(client.clone(), inside, settings);
            tokio::join!(heartbeats(client, name), kubelet.run());
            Ok(())
        });
        Ok(Self {
            _work: work,
            _host: host,
        })
    }
}

async fn register(client: &Client, name: &str, address: &str) -> anyhow::Result<()> {
    let nodes: Api<NodeObject> = Api::all(client.clone());
    let now = clock::now();
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
        } },
    });
    let apply = PatchParams::apply(MANAGER).force();
    nodes.patch(name, &apply, &Patch::Apply(&node)).await?;
    let room = json!({ "cpu": "64", "memory": "64Gi", "pods": "250" });
    let status = json!({ "status": {
        "daemonEndpoints": { "kubeletEndpoint": { "Port": kubelet::PORT } },
        "capacity": room, "allocatable": room,
        "addresses": [
            { "type": "InternalIP", "address": address },
            { "type": "Hostname", "address": name },
        ],
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "processes can be started",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
    } });
    let merge = PatchParams::default();
    nodes
        .patch_status(name, &merge, &Patch::Merge(&status))
        .await?;
    Ok(())
}

async fn heartbeats(client: Client, name: String) {
    let mut ticks = tokio::time::interval(HEARTBEAT);
    loop {
        ticks.tick().await;
        if let Err(error) = beat(&client, &name).await {
            tell_error(&error.context(format!("heartbeat of {name}")));
        }
    }
}

async fn beat(client: &Client, name: &str) -> anyhow::Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": name },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": clock::now_micros() },
    });
    let apply = PatchParams::apply(MANAGER).force();
    leases.patch(name, &apply, &Patch::Apply(&lease)).await?;
    Ok(())
}
