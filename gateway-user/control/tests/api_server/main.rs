//! The control plane against a real API server, with the rights of the manifest.

#![expect(
    clippy::indexing_slicing,
    reason = "an index into JSON that is not there gives null, and in a test a panic is the verdict"
)]

mod bench;
mod events;
mod foreign;
mod infrastructure;
mod leadership;
mod membership;
mod rights;
mod server;
mod turmoil;

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use gateway_translate::Kind;
use kube::Client;
use serde_json::{Value, json};

use crate::bench::{CONTROLLER, Control, api, class, create, install, install_crds, wait_for};
use crate::server::{Server, say};

#[tokio::test]
async fn what_is_installed_later_is_served_and_its_status_written_with_the_rights_of_the_manifest()
{
    let Some(server) = Server::start("what_is_installed_later").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    let mut control = Control::start(&server, "a").await;
    control.wait("nothing", |_| true).await;

    install_crds(&admin).await;
    gateway(&admin).await;
    route(&admin, "r").await;
    let class = wait_for(&api(&admin, Kind::GatewayClass), "sanmon", is_written).await;
    let features = class.data["status"]["supportedFeatures"].as_array();
    let features: Vec<_> = features
        .into_iter()
        .flatten()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(features, gateway_control::features::SUPPORTED);
    let gateways = api(&admin, Kind::Gateway);
    let missing = |status: &Value| condition(status, 1, "ResolvedRefs")["status"] == "False";
    wait_for(&gateways, "web", missing).await;
    let attached = |status: &Value| status["listeners"][0]["attachedRoutes"] == 1;
    wait_for(&gateways, "web", attached).await;

    // The Secret that the Gateway names is read as soon as it is there, and another is not.
    for name in ["cert", "other"] {
        create(&admin, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}})).await;
    }
    let named = |status: &Value| {
        let message = condition(status, 1, "ResolvedRefs")["message"].clone();
        message
            .as_str()
            .is_some_and(|it| it.contains("has no tls.crt"))
    };
    wait_for(&gateways, "web", named).await;
}

#[tokio::test]
async fn an_api_server_that_is_away_takes_nothing_away_and_is_followed_again() {
    let Some(mut server) = Server::start("an_api_server_that_is_away").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    route(&admin, "r").await;
    let mut control = Control::start(&server, "a").await;
    wait_for(&api(&admin, Kind::HttpRoute), "r", |status| {
        ours(status) == 1
    })
    .await;
    let generation = |control: &mut Control| {
        let published = control.published.borrow_and_update();
        published.as_ref().map(|it| it.generation)
    };
    let before = generation(&mut control);

    server.stop();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(generation(&mut control), before, "an outage is no change");
    assert!(before.is_some());

    server.resume().await;
    route(&admin, "second").await;
    let second = wait_for(&api(&admin, Kind::HttpRoute), "second", |status| {
        ours(status) == 1
    })
    .await;
    assert_eq!(second.metadata.generation, Some(1));
}

#[tokio::test]
async fn a_thousand_routes_are_few_writes_to_their_gateway() {
    const ROUTES: usize = 1_000;
    let Some(server) = Server::start("a_thousand_routes").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    let mut control = Control::start(&server, "a").await;
    control
        .wait("the Gateway", |it| !it.statuses.is_empty())
        .await;
    let gateways = api(&admin, Kind::Gateway);
    wait_for(&gateways, "web", is_written).await;

    let start = Instant::now();
    let watched = tokio::spawn(writes_until(admin.clone(), ROUTES));
    let names = (0..ROUTES).map(|number| format!("r{number}"));
    let created = stream::iter(names).map(|name| {
        let admin = admin.clone();
        async move { route(&admin, &name).await }
    });
    created.buffer_unordered(8).collect::<Vec<()>>().await;
    let created = start.elapsed();
    let writes = watched.await.expect("counted");
    let lag = start.elapsed() - created;
    say(&format!(
        "{ROUTES} routes in {created:?}: {writes} writes of the Gateway, the last {lag:?} after"
    ));
    // One every 2 s while the burst lasts, one at each end.
    let most = 2 + usize::try_from(created.as_secs()).expect("few seconds") / 2 + 1;
    assert!(writes <= most.max(12), "{writes} writes in {created:?}");
}

/// Counts the writes of the Gateway until that many routes are attached.
async fn writes_until(client: Client, routes: usize) -> usize {
    let gateways = api(&client, Kind::Gateway);
    let (mut last, mut writes) = (
        gateways
            .get("web")
            .await
            .expect("it")
            .metadata
            .resource_version,
        0,
    );
    loop {
        let gateway = gateways.get("web").await.expect("the Gateway");
        if gateway.metadata.resource_version != last {
            last = gateway.metadata.resource_version;
            writes += 1;
        }
        if gateway.data["status"]["listeners"][0]["attachedRoutes"] == json!(routes) {
            return writes;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn gateway(client: &Client) {
    class(client).await;
    create(client, json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"gatewayClassName": "sanmon", "listeners": [
            {"name": "web", "port": 80, "protocol": "HTTP"},
            {"name": "tls", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}},
        ]},
    }))
    .await;
}

pub(crate) async fn route(client: &Client, name: &str) {
    create(
        client,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"parentRefs": [{"name": "web", "sectionName": "web"}]},
        }),
    )
    .await;
}

pub(crate) fn is_written(status: &Value) -> bool {
    status["conditions"][0]["type"] == "Accepted"
}

pub(crate) fn ours(status: &Value) -> usize {
    let parents = status["parents"].as_array().cloned().unwrap_or_default();
    let ours = parents
        .iter()
        .filter(|it| it["controllerName"] == CONTROLLER);
    ours.count()
}

fn condition(status: &Value, listener: usize, kind: &str) -> Value {
    let conditions = &status["listeners"][listener]["conditions"];
    let mut conditions = conditions.as_array().into_iter().flatten();
    let found = conditions.find(|it| it["type"] == kind);
    found.cloned().unwrap_or_default()
}
