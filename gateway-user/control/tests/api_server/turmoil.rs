//! An API server that has forgotten what a watch asks for, and one that has no time.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use gateway_control::Published;
use gateway_ir::ObjectName;
use gateway_translate::{Kind, ObjectKey};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::bench::{Control, api, create, install, install_crds, wait_for};
use crate::server::{PATIENCE, Server, say};
use crate::{gateway, is_written, ours, route};

/// How long what an agent asks is counted while it is turned away.
const WHILE: Duration = Duration::from_secs(4);
/// Whose requests take the place of Sanmon's.
const HOG: &str = "hog";
/// What it may ask in that time: attempts at a Lease and at a few objects, each ever more seldom.
const ATTEMPTS_MAX: u64 = 30;

#[tokio::test]
async fn a_watch_that_the_api_server_has_forgotten_begins_anew_and_loses_nothing() {
    let Some(mut server) = Server::start("a_watch_that_is_forgotten").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    route(&admin, "old").await;
    let mut control = Control::start(&server, "a").await;
    let routes = api(&admin, Kind::HttpRoute);
    wait_for(&routes, "old", |status| ours(status) == 1).await;
    let mut publications = control.published.clone();
    let without_gateway = tokio::spawn(async move {
        let gone = |it: &Published| !has(it, Kind::Gateway, "web");
        let gone = publications.wait_for(|it| it.as_deref().is_some_and(gone));
        gone.await.is_ok()
    });
    let listed = routes.list(&ListParams::default()).await.expect("a list");
    let version = listed.metadata.resource_version.expect("a version");

    // What happens meanwhile is in no server's memory when the first one is back.
    server.stop();
    server.move_away().await;
    let elsewhere = server.admin().await;
    let deleted = api(&elsewhere, Kind::HttpRoute);
    let deleted = deleted.delete("old", &DeleteParams::default()).await;
    assert!(deleted.is_ok(), "{deleted:?}");
    route(&elsewhere, "new").await;
    server.stop();
    server.move_back().await;

    let watch = routes.watch(&WatchParams::default(), &version).await;
    let first = watch.expect("a watch").boxed().next().await;
    let forgotten = match first.expect("an event") {
        Ok(WatchEvent::Error(status)) => status.code,
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("it remembers: {other:?}"),
    };
    assert_eq!(forgotten, 410);
    control
        .wait("what is there now", |it| {
            has(it, Kind::HttpRoute, "new") && !has(it, Kind::HttpRoute, "old")
        })
        .await;
    wait_for(&routes, "new", |status| ours(status) == 1).await;
    assert!(!without_gateway.is_finished(), "the Gateway was gone");
}

#[tokio::test]
async fn an_agent_that_is_turned_away_asks_ever_more_seldom_and_writes_when_it_may() {
    let Some(server) = Server::start("an_agent_that_is_turned_away").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    let mut control = Control::start(&server, "a").await;
    wait_for(&api(&admin, Kind::Gateway), "web", is_written).await;
    // What was not listed is seen by a watch.
    route(&admin, "before").await;
    control
        .wait("a route", |it| has(it, Kind::HttpRoute, "before"))
        .await;

    let hog = starve(&server).await;
    let until = Instant::now() + PATIENCE;
    while rejected(&admin).await == 0 {
        assert!(Instant::now() < until, "nothing is turned away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    route(&admin, "r").await;
    // The watch is open, so that it is served all the same.
    control
        .wait("the route", |it| has(it, Kind::HttpRoute, "r"))
        .await;
    let before = rejected(&admin).await;
    tokio::time::sleep(WHILE).await;
    let attempts = rejected(&admin).await - before;
    say(&format!("{attempts} requests turned away in {WHILE:?}"));
    assert!(
        (1..=ATTEMPTS_MAX).contains(&attempts),
        "{attempts} attempts in {WHILE:?}"
    );
    let routes = api(&admin, Kind::HttpRoute);
    let status = routes.get("r").await.expect("the route").data["status"].clone();
    assert_eq!(ours(&status), 0, "it was not turned away");

    feed(&admin).await;
    hog.abort();
    wait_for(&routes, "r", |status| ours(status) == 1).await;
}

fn has(published: &Published, kind: Kind, name: &str) -> bool {
    let name = ObjectName::new("default", name);
    published.statuses.get(&ObjectKey { kind, name }).is_some()
}

/// Has the API server answer 429 to every request of Sanmon's account: a place for a single request is all that it shares
/// with somebody whose requests hang, because who is asked whether to admit them never answers.
async fn starve(server: &Server) -> JoinHandle<()> {
    let (admin, hog) = (server.admin().await, server.admin_as(Some(HOG)).await);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let rights = [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": HOG},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": HOG}],
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": HOG},
            "webhooks": [{
                "name": "hog.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 30,
                "clientConfig": {"url": format!("https://127.0.0.1:{silent_port}/")},
                "objectSelector": {"matchLabels": {"held": "up"}},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"],
                }],
            }],
        }),
        json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
            "metadata": {"name": "starved"},
            "spec": {"type": "Limited", "limited": {
                "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
                "limitResponse": {"type": "Reject"},
            }},
        }),
        json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
            "metadata": {"name": "starved"},
            "spec": {
                "matchingPrecedence": 2,
                "priorityLevelConfiguration": {"name": "starved"},
                "rules": [{
                    "subjects": [
                        {"kind": "User", "user": {"name": HOG}},
                        {"kind": "ServiceAccount", "serviceAccount": {"name": "sanmon", "namespace": "sanmon-system"}},
                    ],
                    "resourceRules": [{
                        "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                        "clusterScope": true, "namespaces": ["*"],
                    }],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }],
            },
        }),
    ];
    for object in rights {
        create(&admin, object).await;
    }
    tokio::spawn(async move {
        let maps: Api<ConfigMap> = Api::namespaced(hog, "default");
        let mut map = ConfigMap::default();
        map.metadata.name = Some(HOG.to_owned());
        map.metadata.labels = Some([("held".to_owned(), "up".to_owned())].into());
        // As long as the port is taken, connections to it are taken, too.
        let _silent = silent;
        loop {
            // One of Sanmon's may have the place.
            let refused = maps.create(&PostParams::default(), &map).await;
            assert!(refused.is_err(), "it was admitted");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

/// Ends that.
async fn feed(client: &Client) {
    let request =
        http::Request::delete("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/starved");
    let request = request.body(Vec::new()).expect("a request");
    client.request_text(request).await.expect("deleted");
}

/// How many requests were turned away.
async fn rejected(client: &Client) -> u64 {
    let request = http::Request::get("/metrics").body(Vec::new());
    let metrics = client.request_text(request.expect("a request")).await;
    let metrics = metrics.expect("metrics");
    let lines = metrics.lines().filter(|line| {
        line.starts_with("apiserver_flowcontrol_rejected_requests_total{")
            && line.contains("flow_schema=\"starved\"")
    });
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}
