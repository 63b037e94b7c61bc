//! Another controller writes to the same objects: nobody fights, and nothing is lost.

use std::time::Duration;

use gateway_translate::Kind;
use kube::Api;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::bench::{
    CONTROLLER, Control, api, create, install, install_crds, patch, patch_status, wait_for,
};
use crate::server::Server;
use crate::{gateway, is_written, ours, route};

#[tokio::test]
async fn another_controller_that_writes_to_the_same_routes_loses_nothing() {
    let Some(server) = Server::start("another_controller").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    route(&admin, "r").await;
    let mut control = Control::start(&server, "a").await;
    control
        .wait("the route", |it| !it.statuses.is_empty())
        .await;
    let routes = api(&admin, Kind::HttpRoute);
    wait_for(&routes, "r", |status| ours(status) == 1).await;

    // It changes its own entry, and the spec changes meanwhile, so that both write all the time.
    for round in 0..20 {
        let hostnames = json!({"spec": {"hostnames": [format!("h{round}.example")]}});
        patch(&routes, "r", &hostnames).await;
        loop {
            let route = routes.get("r").await.expect("the route");
            let mut parents = route.data["status"]["parents"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            parents.retain(|it| it["controllerName"] == CONTROLLER);
            parents.push(json!({"parentRef": {"name": "x"}, "controllerName": "example.org/other", "round": round}));
            let status = json!({"metadata": {"resourceVersion": route.metadata.resource_version}, "status": {"parents": parents}});
            if patch_status(&routes, "r", &status).await {
                break;
            }
        }
    }
    let generation = routes
        .get("r")
        .await
        .expect("the route")
        .metadata
        .generation;
    let newest = |status: &Value| {
        let parents = status["parents"].as_array().cloned().unwrap_or_default();
        let foreign = parents.iter().any(|it| it["round"] == 19);
        let mut own = parents
            .iter()
            .filter(|it| it["controllerName"] == CONTROLLER);
        let own = own.any(|it| it["conditions"][0]["observedGeneration"] == json!(generation));
        foreign && own && parents.len() == 2
    };
    let settled = wait_for(&routes, "r", newest)
        .await
        .metadata
        .resource_version;
    // Nobody fights: what is right is not written again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        routes
            .get("r")
            .await
            .expect("the route")
            .metadata
            .resource_version,
        settled
    );
}

#[tokio::test]
async fn conditions_and_ancestors_of_other_controllers_stay_as_they_are() {
    let Some(server) = Server::start("conditions_and_ancestors").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    policy(&admin).await;
    let _control = Control::start(&server, "a").await;

    let gateways = api(&admin, Kind::Gateway);
    wait_for(&gateways, "web", is_written).await;
    let stale = json!({
        "type": "conformance.gateway.networking.k8s.io/StaleCondition", "status": "Unknown",
        "reason": "Stale", "message": "", "observedGeneration": 0,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    replace_status(&gateways, "web", |status| {
        for conditions in ["/conditions", "/listeners/0/conditions"] {
            let conditions = status.pointer_mut(conditions).and_then(Value::as_array_mut);
            conditions.expect("conditions").insert(0, stale.clone());
        }
    })
    .await;
    let listeners =
        json!([{"name": "web", "port": 80, "protocol": "HTTP", "hostname": "a.example"}]);
    patch(&gateways, "web", &json!({"spec": {"listeners": listeners}})).await;
    let generation = generation(&gateways, "web").await;
    wait_for(&gateways, "web", |status| {
        ["/conditions", "/listeners/0/conditions"].iter().all(|it| {
            let conditions = status.pointer(it).and_then(Value::as_array).cloned();
            let mut conditions = conditions.unwrap_or_default().into_iter();
            conditions.next() == Some(stale.clone())
                && conditions.all(|it| it["observedGeneration"] == json!(generation))
        })
    })
    .await;

    let policies = api(&admin, Kind::BackendTlsPolicy);
    let own = |status: &Value| {
        let ancestors = status["ancestors"].as_array().cloned().unwrap_or_default();
        let mut own = ancestors
            .into_iter()
            .filter(|it| it["controllerName"] == CONTROLLER);
        own.next().unwrap_or_default()
    };
    wait_for(&policies, "p", |status| own(status) != Value::Null).await;
    let foreign = json!({
        "ancestorRef": {"name": "unmanaged"}, "controllerName": "example.org/stale",
        "conditions": [stale],
    });
    replace_status(&policies, "p", |status| {
        let ancestors = status["ancestors"].as_array_mut().expect("a list");
        ancestors.insert(0, foreign.clone());
    })
    .await;
    let hostname = json!({"spec": {"validation": {"hostname": "other.example"}}});
    patch(&policies, "p", &hostname).await;
    let generation = self::generation(&policies, "p").await;
    wait_for(&policies, "p", |status| {
        let seen = own(status)["conditions"][0]["observedGeneration"].clone();
        status["ancestors"][0] == foreign && seen == json!(generation)
    })
    .await;
}

/// A route to a Service that a BackendTLSPolicy is for.
async fn policy(client: &kube::Client) {
    create(
        client,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "s", "namespace": "default"},
            "spec": {"ports": [{"port": 443}]},
        }),
    )
    .await;
    create(
        client,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "tls", "namespace": "default"},
            "spec": {
                "parentRefs": [{"name": "web", "sectionName": "web"}],
                "rules": [{"backendRefs": [{"name": "s", "port": 443}]}],
            },
        }),
    )
    .await;
    create(
        client,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {
                "targetRefs": [{"group": "", "kind": "Service", "name": "s"}],
                "validation": {"hostname": "s.example", "wellKnownCACertificates": "System"},
            },
        }),
    )
    .await;
}

/// Changes a status as another controller does: it reads, changes and writes, until nobody was faster.
async fn replace_status(api: &Api<DynamicObject>, name: &str, change: impl Fn(&mut Value)) {
    loop {
        let object = api.get(name).await.expect("the object");
        let mut status = object.data["status"].clone();
        change(&mut status);
        let version = object.metadata.resource_version;
        let status = json!({"metadata": {"resourceVersion": version}, "status": status});
        if patch_status(api, name, &status).await {
            return;
        }
    }
}

async fn generation(api: &Api<DynamicObject>, name: &str) -> Option<i64> {
    api.get(name).await.expect("the object").metadata.generation
}
