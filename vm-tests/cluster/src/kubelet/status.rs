//! The status of a pod, as the API server takes it.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// What is known of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// How it is.
    pub(super) state: State,
    /// How often it was started again.
    pub(super) restarts: u32,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Not started, for a reason.
    Waiting(String),
    /// Running since a time, and not ready.
    Started(String),
    /// Running since a time, and ready.
    Ready(String),
}

impl View {
    /// A container that has not been started.
    pub(super) fn waiting(reason: impl Into<String>) -> Self {
        Self {
            state: State::Waiting(reason.into()),
            restarts: 0,
        }
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    fn json(&self, name: &str, image: &str) -> Value {
        let (state, started) = match &self.state {
            State::Waiting(message) => {
                let reason = "ContainerCreating";
                (
                    json!({ "waiting": { "reason": reason, "message": message } }),
                    false,
                )
            }
            State::Started(since) | State::Ready(since) => {
                (json!({ "running": { "startedAt": since } }), true)
            }
        };
        json!({
            "name": name, "image": image, "imageID": image, "restartCount": self.restarts,
            "state": state, "ready": self.is_ready(), "started": started,
        })
    }
}

/// Where a pod is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    /// The pod's.
    pub(super) pod: Ipv4Addr,
    /// The node's.
    pub(super) host: Ipv4Addr,
}

/// The patch that says how a pod's containers are, in their order, at a time.
pub(super) fn patch(pod: &Pod, views: &[View], addresses: Addresses, now: &str) -> Value {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let statuses: Vec<Value> = containers
        .zip(views)
        .map(|(container, view)| {
            view.json(
                &container.name,
                container.image.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    let has_begun = views
        .iter()
        .all(|view| !matches!(view.state, State::Waiting(_)));
    let is_ready = views.iter().all(View::is_ready);
    let condition = |kind: &str, holds: bool| {
        let status = if holds { "True" } else { "False" };
        json!({ "type": kind, "status": status, "lastTransitionTime": now })
    };
    json!({ "metadata": { "uid": pod.metadata.uid }, "status": {
        "phase": if has_begun { "Running" } else { "Pending" },
        "podIP": addresses.pod, "podIPs": [{ "ip": addresses.pod }],
        "hostIP": addresses.host, "hostIPs": [{ "ip": addresses.host }],
        "startTime": pod.status.as_ref().and_then(|status| status.start_time.clone()).map_or_else(
            || json!(now), |time| json!(time)),
        "conditions": [
            condition("PodScheduled", true),
            condition("Initialized", true),
            condition("ContainersReady", is_ready),
            condition("Ready", is_ready),
        ],
        "containerStatuses": statuses,
    } })
}
