//! Who may write: one process at a time.

use std::time::{Duration, Instant};

use gateway_control::leader::Candidacy;
use gateway_control::leader::arbiter::{Need, Verdict};
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

#[tokio::test]
async fn arbiter_decides_for_one_of_two_and_for_the_other_when_that_needs_it_no_more() {
    let Some(server) = Server::start("arbiter_decides_for_one_of_two").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    install_crds(&admin).await;
    let mut first = Control::start(&server, "a").await;
    let mut second = Control::start(&server, "b").await;
    first.need.send_replace(Need::Decision);
    decided(&mut first, Verdict::Mine).await;
    second.need.send_replace(Need::Decision);
    decided(&mut second, Verdict::Other).await;
    first.need.send_replace(Need::Nothing);
    decided(&mut first, Verdict::None).await;
    decided(&mut second, Verdict::Mine).await;
}

async fn decided(control: &mut Control, verdict: Verdict) {
    let decided = control.verdicts.wait_for(|it| *it == verdict);
    let decided = tokio::time::timeout(PATIENCE, decided).await;
    decided
        .unwrap_or_else(|_| panic!("never {verdict:?}"))
        .expect("it runs");
}

async fn holder(client: &Client) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "sanmon-system");
    let lease = leases.get("sanmon-leader").await.expect("the Lease");
    lease.spec.and_then(|it| it.holder_identity)
}
