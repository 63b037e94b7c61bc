//! Who may write: one process at a time.

use std::time::{Duration, Instant};

use gateway_control::leader::Candidacy;
use gateway_translate::Kind;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

use crate::bench::{Control, api, install, install_crds, wait_for};
use crate::server::{PATIENCE, Server};
use crate::{gateway, is_written, ours, route};

#[tokio::test]
async fn who_steps_aside_gives_the_lease_to_another_that_goes_on_writing() {
    let Some(server) = Server::start("who_steps_aside").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    gateway(&admin).await;
    let first = Control::start(&server, "a").await;
    wait_for(&api(&admin, Kind::Gateway), "web", is_written).await;
    let aside = Control::start(&server, "b").await;
    aside.candidacy.send_replace(Candidacy::Aside);
    let _second = Control::start(&server, "c").await;

    assert_eq!(holder(&admin).await.as_deref(), Some("a"));
    first.candidacy.send_replace(Candidacy::Aside);
    let start = Instant::now();
    while holder(&admin).await.as_deref() != Some("c") {
        assert!(start.elapsed() < PATIENCE, "nobody takes the Lease");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    route(&admin, "r").await;
    wait_for(&api(&admin, Kind::HttpRoute), "r", |status| {
        ours(status) == 1
    })
    .await;
}

async fn holder(client: &Client) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "sanmon-system");
    let lease = leases.get("sanmon-leader").await.expect("the Lease");
    lease.spec.and_then(|it| it.holder_identity)
}
