//! The Secret with the key of the heartbeats in a real API server.

use gateway_control::{MembershipKey, Published};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use crate::bench::{Control, create, install, patch};
use crate::server::Server;

#[tokio::test]
async fn the_leader_makes_one_key_that_all_agents_read_and_leaves_it_alone() {
    let Some(server) = Server::start("the_leader_makes_one_key").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    let mut first = Control::start(&server, "a").await;
    let mut second = Control::start(&server, "b").await;

    let made = key(&mut first, |it| it.current.len() == 32).await;
    let read = key(&mut second, |_| true).await;
    assert_eq!(made.current, read.current);

    // Who rotates it writes both fields; the Secret is the operator's then.
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), "sanmon-system");
    let rotated = json!({"stringData": {"key": "the next key of theirs", "previous": "the last"}});
    patch(&secrets, "sanmon-membership", &rotated).await;
    let rotated = key(&mut second, |it| it.previous.is_some()).await;
    assert_eq!(rotated.current, b"the next key of theirs");

    // One that is deleted is made anew.
    let parameters = DeleteParams::default();
    let deleted = secrets.delete("sanmon-membership", &parameters).await;
    deleted.expect("deleted");
    let anew = key(&mut second, |it| it.previous.is_none()).await;
    assert_ne!(anew.current, made.current);
}

#[tokio::test]
async fn a_key_that_is_there_is_used() {
    let Some(server) = Server::start("a_key_that_is_there_is_used").await else {
        return;
    };
    let admin = server.admin().await;
    install(&admin).await;
    let key_of_theirs = "a key of theirs, long enough";
    create(
        &admin,
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "sanmon-membership", "namespace": "sanmon-system"},
            "stringData": {"key": key_of_theirs},
        }),
    )
    .await;
    let mut control = Control::start(&server, "a").await;
    let read = key(&mut control, |_| true).await;
    assert_eq!(read.current, key_of_theirs.as_bytes());
}

async fn key(control: &mut Control, is: impl Fn(&MembershipKey) -> bool) -> MembershipKey {
    let is = |it: &Published| it.membership_key.as_ref().is_some_and(&is);
    control.wait("a key", is).await;
    let published = control.published.borrow().clone();
    published
        .and_then(|it| it.membership_key.clone())
        .expect("waited for")
}
