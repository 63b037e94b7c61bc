//! What operators are told, in a real API server.

use std::time::{Duration, Instant};

use gateway_control::events::{Happening, Level};
use gateway_ir::ObjectName;
use gateway_translate::{Kind, ObjectKey};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::json;

use crate::bench::{Control, api, create, install, install_crds, patch};
use crate::gateway;
use crate::server::{PATIENCE, Server};

#[tokio::test]
async fn what_becomes_wrong_is_told_once_and_counted_after_that() {
    let Some(server) = Server::start("what_becomes_wrong").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    let control = Control::start(&server, "a").await;
    let missing = wait(&admin, "there is no Secret default/cert").await;
    assert_eq!(missing.type_.as_deref(), Some("Warning"));
    assert_eq!(missing.reason.as_deref(), Some("InvalidCertificateRef"));
    assert_eq!(missing.reporting_instance.as_deref(), Some("a"));
    let regarding = missing.regarding.expect("an object");
    assert_eq!(
        (regarding.kind.as_deref(), regarding.name.as_deref()),
        (Some("Gateway"), Some("web"))
    );

    create(&admin, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert", "namespace": "default"}})).await;
    wait(&admin, "has no tls.crt").await;

    // The next leader says no second time what this one has said.
    let named = missing.metadata.name.expect("a name");
    drop(control);
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(admin.clone(), "default");
    secrets
        .delete("cert", &kube::api::DeleteParams::default())
        .await
        .expect("deleted");
    let _next = Control::start(&server, "b").await;
    let start = Instant::now();
    let events: Api<Event> = Api::namespaced(admin.clone(), "default");
    while events
        .get(&named)
        .await
        .expect("the event")
        .series
        .is_none()
    {
        assert!(start.elapsed() < PATIENCE, "not counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    patch(&api(&admin, Kind::Gateway), "web", &json!({"spec": {"infrastructure": {"parametersRef": {"group": "sanmon.dev", "kind": "SanmonGatewayConfig", "name": "x"}}}})).await;
    wait(&admin, "there is no SanmonGatewayConfig default/x").await;
}

#[tokio::test]
async fn what_gate_1_finds_is_told_of_the_gateway() {
    let Some(server) = Server::start("what_gate_1_finds").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    let control = Control::start(&server, "a").await;
    wait(&admin, "there is no Secret default/cert").await;
    let note = "another machine, with the MAC 02:00:00:00:00:66, has 192.0.2.1";
    control.events.tell(Happening {
        regarding: ObjectKey {
            kind: Kind::Gateway,
            name: ObjectName::new("default", "web"),
        },
        level: Level::Warning,
        reason: "AddressConflict",
        action: "Announce",
        note: note.to_owned(),
    });
    let told = wait(&admin, note).await;
    assert_eq!(told.reason.as_deref(), Some("AddressConflict"));
    assert_eq!(told.type_.as_deref(), Some("Warning"));
    let regarding = told.regarding.expect("an object");
    assert_eq!(regarding.name.as_deref(), Some("web"));
    assert!(regarding.uid.is_some_and(|it| !it.is_empty()));
}

/// Waits for an event whose note has these words.
async fn wait(client: &Client, words: &str) -> Event {
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    let until = Instant::now() + PATIENCE;
    loop {
        let told = events.list(&ListParams::default()).await.expect("a list");
        let has = |it: &Event| it.note.as_deref().is_some_and(|note| note.contains(words));
        if let Some(event) = told.items.into_iter().find(has) {
            return event;
        }
        assert!(Instant::now() < until, "nobody says: {words}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
