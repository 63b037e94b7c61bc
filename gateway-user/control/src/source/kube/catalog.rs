//! Which kinds the API server serves, and under which version: found by discovery, again whenever a CRD changes.
//!
//! A kind whose CRD is missing is off; it is on as soon as the CRD is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use gateway_translate::{Kind, Served};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::Message;

/// What is said of a CRD.
type Event = watcher::Event<PartialObjectMeta<DynamicObject>>;

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

/// Sends the catalog as soon as the CRDs are listed, and after every change of one.
pub(super) async fn follow(client: Client, messages: mpsc::Sender<Message>) {
    let mut present = BTreeMap::new();
    let mut watch = watch(&client).boxed();
    let (mut last, mut retries) = (None, RETRIES_MAX);
    loop {
        tokio::select! {
            changed = change(&mut watch, &mut present) => match changed {
                Some(()) => retries = 0,
                None => return,
            },
            () = tokio::time::sleep(RETRY), if retries < RETRIES_MAX => {}
        }
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
    }
}

/// Waits until CRDs of ours may have changed; nothing: the watch has ended.
///
/// A list is one change, as discovery is some requests. So is an error: who may not watch CRDs asks from time to time.
async fn change(
    watch: &mut (impl Stream<Item = watcher::Result<Event>> + Unpin),
    present: &mut BTreeMap<String, String>,
) -> Option<()> {
    loop {
        match watch.next().await? {
            Ok(event) => {
                if note(present, event) {
                    return Some(());
                }
            }
            Err(error) => {
                debug!(%error, "CRDs are not watched right now");
                return Some(());
            }
        }
    }
}

fn watch(client: &Client) -> impl Stream<Item = watcher::Result<Event>> + Send + use<> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    watcher(api, watcher::Config::default()).default_backoff()
}

/// Remembers which CRDs of ours there are, with their release; tells whether that is a change that is complete.
fn note(present: &mut BTreeMap<String, String>, event: Event) -> bool {
    let (crd, is_complete) = match event {
        watcher::Event::Init => {
            present.clear();
            return false;
        }
        watcher::Event::InitDone => return true,
        watcher::Event::Delete(crd) => {
            return present
                .remove(&crd.metadata.name.unwrap_or_default())
                .is_some();
        }
        watcher::Event::InitApply(crd) => (crd, false),
        watcher::Event::Apply(crd) => (crd, true),
    };
    let name = crd.metadata.name.unwrap_or_default();
    let is_ours = groups().iter().any(|group| name.ends_with(group));
    if is_ours {
        let annotations = crd.metadata.annotations.unwrap_or_default();
        let bundle = annotations.get(BUNDLE_VERSION).cloned();
        present.insert(name, bundle.unwrap_or_default());
    }
    is_ours && is_complete
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
