//! The Service of a Gateway in a real API server.

use std::time::{Duration, Instant};

use gateway_translate::Kind;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::bench::{Control, api, class, create, install, install_crds, patch};
use crate::server::{PATIENCE, Server};

const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

#[tokio::test]
async fn a_gateway_has_one_service_with_its_labels_and_no_other_service_is_touched() {
    let Some(server) = Server::start("a_gateway_has_one_service").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    class(&admin).await;
    // A Service of somebody else that has the name by chance.
    create(&admin, json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "sanmon-taken", "namespace": "default", "labels": {"whose": "theirs"}},
        "spec": {"ports": [{"port": 80}]},
    }))
    .await;
    let infrastructure =
        json!({"labels": {"team": "shop", "zone": "a"}, "annotations": {"contact": "x"}});
    for name in ["web", "taken", "away"] {
        gateway(&admin, name, &infrastructure).await;
    }
    // Gateway API: a name may be as long as 253 characters and begin with a digit.
    let long = format!("1.{}", "a".repeat(251));
    gateway(&admin, &long, &infrastructure).await;
    let services: Api<Service> = Api::namespaced(admin.clone(), "default");
    let _control = Control::start(&server, "a").await;

    let made = wait(&services, "sanmon-web", |it| {
        label(it, "team") == Some("shop")
    })
    .await;
    assert_eq!(label(&made, GATEWAY_NAME), Some("web"));
    assert_eq!(
        made.spec.clone().and_then(|it| it.cluster_ip),
        Some("None".to_owned())
    );
    let of_long = find(&services, |it| name(it).starts_with("sanmon-1-aaa")).await;
    assert_eq!(name(&of_long).len(), 63);

    // What another program sets stays, what leaves the Gateway goes.
    let theirs =
        json!({"metadata": {"labels": {"theirs": "yes"}, "annotations": {"theirs": "yes"}}});
    patch(&services, "sanmon-web", &theirs).await;
    let fewer =
        json!({"spec": {"infrastructure": {"labels": {"zone": null}, "annotations": null}}});
    let gateways = api(&admin, Kind::Gateway);
    patch(&gateways, "web", &fewer).await;
    let changed = wait(&services, "sanmon-web", |it| label(it, "zone").is_none()).await;
    assert_eq!(label(&changed, "team"), Some("shop"));
    assert_eq!(label(&changed, "theirs"), Some("yes"));
    let annotations = changed.metadata.annotations.clone().unwrap_or_default();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["theirs"]);

    // A Gateway that leaves our classes loses its Service; deleted ones are the garbage collector's.
    let foreign = json!({"spec": {"gatewayClassName": "other"}});
    patch(&gateways, "away", &foreign).await;
    gone(&services, "sanmon-away").await;

    let events: Api<Event> = Api::namespaced(admin.clone(), "default");
    let told = events.list(&ListParams::default()).await.expect("a list");
    let names_it = |it: &&Event| it.reason.as_deref() == Some("NameTaken");
    let told = told.items.iter().find(names_it).expect("an event");
    let regarding = told.regarding.as_ref().and_then(|it| it.name.as_deref());
    assert_eq!(regarding, Some("taken"));
    let taken = services.get("sanmon-taken").await.expect("it is there");
    assert_eq!(label(&taken, "whose"), Some("theirs"));
    assert_eq!(label(&taken, GATEWAY_NAME), None);
    let parameters = DeleteParams::default();
    let deleted = gateways.delete("taken", &parameters).await;
    deleted.expect("deleted");
    let taken = services
        .get("sanmon-taken")
        .await
        .expect("it is there still");
    assert_eq!(label(&taken, GATEWAY_NAME), None);
}

async fn gateway(client: &Client, name: &str, infrastructure: &Value) {
    create(
        client,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "gatewayClassName": "sanmon",
                "infrastructure": infrastructure,
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            },
        }),
    )
    .await;
}

async fn wait(services: &Api<Service>, wanted: &str, is: impl Fn(&Service) -> bool) -> Service {
    find(services, |it| name(it) == wanted && is(it)).await
}

async fn find(services: &Api<Service>, is: impl Fn(&Service) -> bool) -> Service {
    let until = Instant::now() + PATIENCE;
    loop {
        let list = services.list(&ListParams::default()).await;
        let found = list.expect("a list").items.into_iter().find(|it| is(it));
        if let Some(found) = found {
            return found;
        }
        assert!(Instant::now() < until, "no such Service");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn gone(services: &Api<Service>, name: &str) {
    let until = Instant::now() + PATIENCE;
    while services.get_opt(name).await.expect("an answer").is_some() {
        assert!(Instant::now() < until, "{name} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn name(service: &Service) -> &str {
    service.metadata.name.as_deref().unwrap_or_default()
}

fn label<'a>(service: &'a Service, key: &str) -> Option<&'a str> {
    let labels = service.metadata.labels.as_ref()?;
    labels.get(key).map(String::as_str)
}
