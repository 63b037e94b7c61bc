//! Gives each pod a node: the one that its affinity names (a DaemonSet's pods), else the one with the fewest pods.
//!
//! Resources, taints and topology are not looked at; every node of this cluster is like the others.

use std::collections::BTreeMap;

use anyhow::Context;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use crate::tell_error;

/// Binds pods as long as it is polled.
pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::all(client.clone());
    let unbound = watcher::Config::default().fields("spec.nodeName=");
    let mut news = watcher(pods, unbound)
        .default_backoff()
        .applied_objects()
        .boxed();
    while let Some(pod) = news.next().await {
        let bound = match pod {
            Ok(pod) if pod.metadata.deletion_timestamp.is_some() => continue,
            Ok(pod) => bind(&client, &pod).await,
            Err(error) => Err(error.into()),
        };
        // The watch begins anew by itself; a pod that could not be bound comes with its next change.
        if let Err(error) = bound {
            tell_error(&error.context("scheduler"));
        }
    }
    Ok(())
}

async fn bind(client: &Client, pod: &Pod) -> anyhow::Result<()> {
    let node = match wanted(pod) {
        Some(node) => node,
        None => emptiest(client).await?,
    };
    let name = pod.name_any();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            uid: pod.uid(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.clone()),
            ..ObjectReference::default()
        },
    };
    let parameters = PostParams::default();
    let bound: Result<Value, kube::Error> = pods
        .create_subresource("binding", &name, &parameters, &binding)
        .await;
    bound.with_context(|| format!("cannot bind pod {name} to {node}"))?;
    Ok(())
}

/// The node that a pod's affinity names by its name, as DaemonSets do.
fn wanted(pod: &Pod) -> Option<String> {
    let affinity = pod
        .spec
        .as_ref()?
        .affinity
        .as_ref()?
        .node_affinity
        .as_ref()?;
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    required
        .node_selector_terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten())
        .find(|field| field.key == "metadata.name")
        .and_then(|field| field.values.as_ref()?.first().cloned())
}

async fn emptiest(client: &Client) -> anyhow::Result<String> {
    let nodes: Api<Node> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    let mut load = BTreeMap::new();
    for node in nodes.list(&ListParams::default()).await? {
        load.insert(node.name_any(), 0_usize);
    }
    for pod in pods.list(&ListParams::default()).await? {
        let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
        load.entry(node).and_modify(|pods| *pods += 1);
    }
    let least = load.into_iter().min_by_key(|(_, pods)| *pods);
    Ok(least.context("the cluster has no nodes")?.0)
}
