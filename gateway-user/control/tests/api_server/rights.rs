//! A right that is missing: what is refused is tried again by itself, and holds nothing else up.

use std::time::{Duration, Instant};

use gateway_translate::Kind;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::bench::{Control, api, install, install_crds, wait_for};
use crate::server::{PATIENCE, Server};
use crate::{gateway, is_written, ours, route};

#[tokio::test]
async fn a_status_that_is_refused_is_tried_again_and_holds_no_other_up() {
    let Some(server) = Server::start("a_status_that_is_refused").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    let roles: Api<ClusterRole> = Api::all(admin.clone());
    let role = roles.get("sanmon").await.expect("the role of the manifest");
    let mut less = role.clone();
    for rule in less.rules.iter_mut().flatten() {
        let resources = rule.resources.get_or_insert_default();
        resources.retain(|it| it != "httproutes/status");
    }
    replace(&roles, less).await;
    gateway(&admin).await;
    route(&admin, "r").await;
    let _control = Control::start(&server, "a").await;
    wait_for(&api(&admin, Kind::Gateway), "web", is_written).await;

    // Nothing changes between one refusal and the next, and nothing else is refused here.
    let (until, before) = (Instant::now() + PATIENCE, refusals(&admin).await);
    while refusals(&admin).await < before + 2.0 {
        assert!(Instant::now() < until, "not tried again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    replace(&roles, role).await;
    let routes = api(&admin, Kind::HttpRoute);
    wait_for(&routes, "r", |status| ours(status) == 1).await;
}

async fn replace(roles: &Api<ClusterRole>, mut role: ClusterRole) {
    // Over whatever is there.
    role.metadata.resource_version = None;
    let replaced = roles.replace("sanmon", &PostParams::default(), &role).await;
    replaced.expect("replaced");
}

/// How often the API server has refused anything.
async fn refusals(client: &Client) -> f64 {
    let request = http::Request::get("/metrics").body(Vec::new());
    let metrics = client.request_text(request.expect("a request")).await;
    let metrics = metrics.expect("metrics");
    let attempts = metrics.lines().filter(|line| {
        line.starts_with("authorization_attempts_total{") && !line.contains("\"allowed\"")
    });
    let counts = attempts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    counts.sum()
}
