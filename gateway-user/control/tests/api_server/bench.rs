//! A cluster with Sanmon's account and CRDs, and a control plane that reads it and writes to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_control::cluster::{self, Connection, Outlook};
use gateway_control::events::Events;
use gateway_control::leader::Candidacy;
use gateway_control::leader::arbiter::{Arbitration, Need, Verdict};
use gateway_control::source::document;
use gateway_control::status::merge;
use gateway_control::{Cluster, Published, Publisher, leader};
use gateway_translate::{Kind, Settings};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::server::{PATIENCE, Server};

pub(crate) const CONTROLLER: &str = "sanmon.dev/gateway-controller";

/// What the agent's binary does, without gates: everything that is published counts as programmed.
pub(crate) struct Control {
    pub(crate) published: watch::Receiver<Option<Arc<Published>>>,
    /// Whether it may lead.
    pub(crate) candidacy: watch::Sender<Candidacy>,
    /// Whether it needs a decision between two agents, and what that is.
    pub(crate) need: watch::Sender<Need>,
    pub(crate) verdicts: watch::Receiver<Verdict>,
    /// What operators are to be told beside what the statuses say.
    pub(crate) events: Events,
    _cluster: Cluster,
}

impl Control {
    /// Starts one with the rights of the manifest.
    pub(crate) async fn start(server: &Server, identity: &str) -> Self {
        let token = token(&server.admin().await).await;
        let settings = cluster::Settings {
            connection: Connection::Kubeconfig(server.kubeconfig(&token)),
            controller: CONTROLLER.to_owned(),
            leader: leader::Settings {
                namespace: "sanmon-system".to_owned(),
                name: "sanmon-leader".to_owned(),
                identity: identity.to_owned(),
            },
        };
        let publisher = Publisher::start().expect("a thread");
        publisher.settings(Settings::default());
        let published = publisher.published();
        let (sender, wanted) = watch::channel(None);
        let candidacy = watch::Sender::new(Candidacy::Stands);
        let need = watch::Sender::default();
        let (verdict, verdicts) = watch::channel(Verdict::None);
        let mut changes = published.clone();
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let newest = changes.borrow_and_update().clone();
                sender.send_replace(newest.map(|it| it.statuses.clone()));
            }
        });
        let events = Events::default();
        let publish = move |content| publisher.content(content);
        let outlook = Outlook {
            statuses: wanted,
            published: published.clone(),
            candidacy: candidacy.subscribe(),
            events: events.clone(),
            arbitration: Arbitration {
                wanted: need.subscribe(),
                verdict: Arc::new(verdict),
            },
        };
        let cluster = Cluster::start(settings, outlook, publish).expect("a cluster");
        Self {
            published,
            candidacy,
            need,
            verdicts,
            events,
            _cluster: cluster,
        }
    }

    /// Waits for a publication.
    pub(crate) async fn wait(&mut self, what: &str, is: impl Fn(&Published) -> bool) {
        let seen = self.published.wait_for(|it| it.as_deref().is_some_and(&is));
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        seen.unwrap_or_else(|_| panic!("not published: {what}"))
            .expect("it runs");
    }
}

/// Applies deploy/install.yaml as far as it is about rights.
pub(crate) async fn install(client: &Client) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/install.yaml");
    let text = std::fs::read_to_string(file).expect("the manifest");
    for document in document::parse(&text).expect("YAML") {
        if document.value["kind"] != "DaemonSet" {
            create(client, document.value).await;
        }
    }
}

/// Creates a CRD without a schema for each kind that comes with one.
pub(crate) async fn install_crds(client: &Client) {
    for kind in Kind::ALL {
        let version = *kind.api_versions().first().expect("a version");
        if !version.starts_with("gateway.") && !version.starts_with("sanmon.") {
            continue;
        }
        let ApiResource {
            group,
            version,
            plural,
            ..
        } = resource(kind);
        let scope = if kind.is_namespaced() {
            "Namespaced"
        } else {
            "Cluster"
        };
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let mut served = json!({"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
        if merge::has_status(kind) {
            served["subresources"] = json!({"status": {}});
        }
        let approved =
            json!({"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api"});
        create(
            client,
            json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.{group}"), "annotations": approved},
                "spec": {
                    "group": group,
                    "scope": scope,
                    "names": {"plural": plural, "kind": kind.as_str()},
                    "versions": [served],
                },
            }),
        )
        .await;
    }
}

/// Creates an object; waits for a CRD that is not served yet.
pub(crate) async fn create(client: &Client, object: Value) {
    let text = |field: &str| object[field].as_str().expect("text").to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let object = serde_json::from_value(object).expect("an object");
    let until = Instant::now() + PATIENCE;
    while let Err(error) = api.create(&PostParams::default(), &object).await {
        assert!(Instant::now() < until, "{kind} not created: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates the class `sanmon`.
pub(crate) async fn class(client: &Client) {
    create(
        client,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "sanmon"},
            "spec": {"controllerName": CONTROLLER},
        }),
    )
    .await;
}

/// The API of a kind in the namespace `default`, or of the cluster.
pub(crate) fn api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    let resource = resource(kind);
    if kind.is_namespaced() {
        Api::namespaced_with(client.clone(), "default", &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

/// Waits until an object is as it should be, and gives it.
pub(crate) async fn wait_for(
    api: &Api<DynamicObject>,
    name: &str,
    is: impl Fn(&Value) -> bool,
) -> DynamicObject {
    let until = Instant::now() + PATIENCE;
    loop {
        let object = api.get(name).await.expect("the object");
        if is(&object.data["status"]) {
            return object;
        }
        assert!(
            Instant::now() < until,
            "{name} stays {}",
            object.data["status"]
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Merges fields into an object.
pub(crate) async fn patch<K>(api: &Api<K>, name: &str, fields: &Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let parameters = PatchParams::default();
    let patched = api.patch(name, &parameters, &Patch::Merge(fields)).await;
    patched.expect("patched");
}

/// Replaces fields of a status as another controller would.
pub(crate) async fn patch_status(api: &Api<DynamicObject>, name: &str, status: &Value) -> bool {
    let patch = Patch::Merge(status);
    let patched = api
        .patch_status(name, &PatchParams::default(), &patch)
        .await;
    patched.is_ok()
}

fn resource(kind: Kind) -> ApiResource {
    let version = *kind.api_versions().first().expect("a version");
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.as_str()))
}

async fn token(client: &Client) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "sanmon-system");
    let request = TokenRequest {
        spec: TokenRequestSpec::default(),
        ..TokenRequest::default()
    };
    let parameters = PostParams::default();
    let answer = accounts
        .create_token_request("sanmon", &parameters, &request)
        .await;
    let status = answer.expect("a token").status;
    status.expect("a token").token
}
