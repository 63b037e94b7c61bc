//! Which kinds the API server serves, and under which version: found by discovery, again whenever a CRD changes.
//!
//! A kind whose CRD is missing is off; it is on as soon as the CRD is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use gateway_translate::{Kind, Served};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::Message;

/// The group of the Gateway API.
const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// The annotation of the Gateway API's CRDs that says which release they are of.
const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";
/// How soon discovery is repeated: it lags behind a new CRD by about a second.
const RETRY: Duration = Duration::from_secs(1);
/// How often discovery is repeated for a CRD that serves no version that is read here.
const RETRIES_MAX: u32 = 10;

/// What the API server serves of what is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Catalog {
    pub(super) resources: BTreeMap<Kind, Arc<ApiResource>>,
    /// Of which releases of the Gateway API that is, and what is missing.
    pub(super) served: Arc<Served>,
}

/// Sends the catalog now and after every change.
pub(super) async fn follow(client: Client, messages: mpsc::Sender<Message>) {
    let mut present: BTreeMap<String, String> = BTreeMap::new();
    let mut watch = watch(&client).boxed();
    let (mut last, mut retries) = (None, 0);
    loop {
        match discover(&client).await {
            Ok(resources) => {
                let late = missing(&resources, &present) && retries < RETRIES_MAX;
                retries = if late { retries + 1 } else { RETRIES_MAX };
                let catalog = Catalog {
                    served: Arc::new(served(&resources, &present)),
                    resources,
                };
                if last.as_ref() != Some(&catalog) {
                    last = Some(catalog.clone());
                    if messages.send(Message::Catalog(catalog)).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                retries = 0;
                warn!(%error, "cannot ask the API server which kinds it serves; asking again");
            }
        }
        let event = tokio::select! {
            event = watch.next() => event,
            () = tokio::time::sleep(RETRY), if retries < RETRIES_MAX => continue,
        };
        retries = 0;
        match event {
            Some(Ok(event)) => note(&mut present, event),
            Some(Err(error)) => debug!(%error, "CRDs are not watched right now"),
            None => return,
        }
    }
}

fn watch(
    client: &Client,
) -> impl futures_util::Stream<Item = watcher::Result<watcher::Event<PartialObjectMeta<DynamicObject>>>>
+ Send
+ use<> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    watcher(api, watcher::Config::default()).default_backoff()
}

/// Remembers which CRDs of ours there are, with their release.
fn note(
    present: &mut BTreeMap<String, String>,
    event: watcher::Event<PartialObjectMeta<DynamicObject>>,
) {
    match event {
        watcher::Event::Init => present.clear(),
        watcher::Event::InitDone => {}
        watcher::Event::Apply(crd) | watcher::Event::InitApply(crd) => {
            let name = crd.metadata.name.unwrap_or_default();
            if groups().iter().any(|group| name.ends_with(group)) {
                let annotations = crd.metadata.annotations.unwrap_or_default();
                let bundle = annotations.get(BUNDLE_VERSION).cloned();
                present.insert(name, bundle.unwrap_or_default());
            }
        }
        watcher::Event::Delete(crd) => {
            present.remove(&crd.metadata.name.unwrap_or_default());
        }
    }
}

/// What the API server serves of the Gateway API.
fn served(
    resources: &BTreeMap<Kind, Arc<ApiResource>>,
    present: &BTreeMap<String, String>,
) -> Served {
    let is_of_gateway_api = |version: &str| version.starts_with(GATEWAY_API);
    let known = Kind::ALL.into_iter();
    let known = known.filter(|it| {
        let mut versions = it.api_versions().iter();
        *it == Kind::ClusterTrustBundle || versions.any(|it| is_of_gateway_api(it))
    });
    let crds = present.iter().filter(|(crd, _)| crd.ends_with(GATEWAY_API));
    Served {
        releases: crds.map(|(_, release)| release.clone()).collect(),
        missing: known.filter(|it| !resources.contains_key(it)).collect(),
    }
}

/// Tells whether a CRD of a kind that is read is there, and the kind is not.
fn missing(
    resources: &BTreeMap<Kind, Arc<ApiResource>>,
    present: &BTreeMap<String, String>,
) -> bool {
    let known = Kind::ALL.into_iter().filter(|it| is_optional(*it));
    let names = known.flat_map(|kind| kind.api_versions().iter().map(move |it| (kind, *it)));
    names.into_iter().any(|(kind, version)| {
        let resource = guess(kind, version);
        let crd = format!("{}.{}", resource.plural, resource.group);
        present.contains_key(&crd) && !resources.contains_key(&kind)
    })
}

async fn discover(client: &Client) -> kube::Result<BTreeMap<Kind, Arc<ApiResource>>> {
    let mut served: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let custom = Kind::ALL.into_iter().filter(|it| is_optional(*it));
    let versions: BTreeSet<_> = custom.flat_map(|it| it.api_versions()).copied().collect();
    let there = client.list_api_groups().await?.groups;
    let there: BTreeSet<_> = there
        .into_iter()
        .flat_map(|it| it.versions)
        .map(|it| it.group_version)
        .collect();
    for version in versions.into_iter().filter(|it| there.contains(*it)) {
        let list = client.list_api_group_resources(version).await?.resources;
        let plurals = list.into_iter().filter(|it| !it.name.contains('/'));
        served.insert(version, plurals.map(|it| (it.kind, it.name)).collect());
    }
    let kinds = Kind::ALL.into_iter().filter_map(|kind| {
        let mut versions = kind.api_versions().iter();
        let resource = versions.find_map(|version| {
            let resource = guess(kind, version);
            if !is_optional(kind) {
                return Some(resource);
            }
            let plural = served.get(version)?.get(kind.as_str())?.clone();
            Some(ApiResource { plural, ..resource })
        });
        Some((kind, Arc::new(resource?)))
    });
    Ok(kinds.collect())
}

/// Tells whether an API server can be without a kind: it comes with a CRD, or is younger than our oldest Kubernetes.
fn is_optional(kind: Kind) -> bool {
    let version = kind.api_versions().first().copied().unwrap_or_default();
    groups().iter().any(|group| version.starts_with(group))
}

/// The groups of optional kinds.
const fn groups() -> [&'static str; 3] {
    [GATEWAY_API, "sanmon.dev", "certificates.k8s.io"]
}

/// A kind under a version, by the rules of English.
fn guess(kind: Kind, version: &str) -> ApiResource {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.as_str()))
}
