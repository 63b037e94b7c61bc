//! The API server as a source: one watch per kind, one per referenced Secret, ConfigMap and ClusterTrustBundle, all into one store.
//!
//! Objects are taken as JSON and read one by one, so an object that does not fit its type is that object's problem and
//! never the watch's. Nothing is published before everything has been listed once. When the API server is away, what
//! was published stays, and the watches go on by themselves when it is back.

mod catalog;
mod given;
mod reference;
mod store;
mod trim;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use gateway_ir::ObjectName;
use gateway_translate::{Kind, ObjectKey};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use self::catalog::Catalog;
use self::given::Given;
use self::store::{Store, key_of, problem};
use crate::infrastructure::service::SeenService;
use crate::seen::SeenAll;
use crate::seen_status::Seen;
use crate::{Content, Problem, peer};

/// Events that wait for the store; a watch that is faster waits.
const EVENTS_MAX: usize = 1024;

/// What the source has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The controller name of our GatewayClasses: only their Gateways make Secrets be read.
    pub controller: String,
    /// The namespace of the agent: the Secret with the key of the heartbeats is there.
    pub namespace: String,
}

/// What the source shows beside contents: the objects that are written, as the API server has them.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The statuses of all objects that have one.
    pub statuses: SeenAll<Seen>,
    /// The Services that were made for Gateways.
    pub services: SeenAll<SeenService>,
}

/// A watch: of a kind, or of one object of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct WatchId {
    kind: Kind,
    /// Secrets, ConfigMaps and ClusterTrustBundles are watched one by one.
    one: Option<ObjectKey>,
}

#[derive(Debug)]
enum Message {
    Catalog(Catalog),
    Event(WatchId, Box<watcher::Event<Given>>),
    Failed(WatchId, watcher::Error),
}

/// Reads the cluster until `publish` says that nobody listens any more, or the task is aborted.
pub async fn follow(
    client: Client,
    settings: Settings,
    shown: Shown,
    publish: impl Fn(Content) + Send,
) {
    let (sender, mut inbox) = mpsc::channel(EVENTS_MAX);
    let catalog = tokio::spawn(catalog::follow(client.clone(), sender.clone()));
    let mut source = Source {
        client,
        settings,
        store: Store::new(shown),
        catalog: None,
        watches: BTreeMap::new(),
        complete: false,
        sender,
    };
    while let Some(message) = inbox.recv().await {
        source.take(message);
        // What has arrived meanwhile is taken together.
        while let Ok(message) = inbox.try_recv() {
            source.take(message);
        }
        source.follow_references();
        if let Some(content) = source.content() {
            publish(content);
        }
    }
    catalog.abort();
}

struct Source {
    client: Client,
    settings: Settings,
    store: Store,
    catalog: Option<Catalog>,
    watches: BTreeMap<WatchId, Watch>,
    /// Whether there was a first content.
    complete: bool,
    sender: mpsc::Sender<Message>,
}

/// A running watch.
struct Watch {
    task: AbortHandle,
    resource: Arc<ApiResource>,
    state: State,
    /// What a list in progress has named so far.
    listed: BTreeSet<ObjectKey>,
    /// Why it does not work right now.
    problem: Option<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not listed once yet.
    Starting,
    /// Listed; or of a single object that may not be read, which is as if it were not there.
    Ready,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    fn take(&mut self, message: Message) {
        match message {
            Message::Catalog(catalog) => self.follow_kinds(catalog),
            Message::Event(id, event) => self.event(&id, *event),
            Message::Failed(id, error) => self.failed(&id, &error),
        }
    }

    /// Starts and ends the watches of kinds.
    fn follow_kinds(&mut self, catalog: Catalog) {
        let is_on = |kind: Kind, resource: &Arc<ApiResource>| {
            catalog.resources.get(&kind) == Some(resource)
        };
        let gone: Vec<WatchId> = self
            .watches
            .iter()
            .filter(|(id, watch)| !is_on(id.kind, &watch.resource))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            info!(kind = %id.kind, "no longer served by the API server");
            self.watches.remove(&id);
            self.store.retain(id.kind, &BTreeSet::new());
        }
        for (kind, resource) in &catalog.resources {
            let id = WatchId {
                kind: *kind,
                one: None,
            };
            if !is_single(*kind) && !self.watches.contains_key(&id) {
                self.start(id, Arc::clone(resource));
            }
        }
        for kind in Kind::ALL {
            let was_on = self
                .catalog
                .as_ref()
                .is_none_or(|it| it.resources.contains_key(&kind));
            if was_on && !catalog.resources.contains_key(&kind) {
                info!(%kind, "off: the API server has no CRD for a version that is read");
            }
        }
        self.catalog = Some(catalog);
        self.store.touch();
    }

    /// Starts and ends the watches of single objects.
    fn follow_references(&mut self) {
        let mut wanted = self.store.referenced(&self.settings.controller);
        wanted.insert(ObjectKey {
            kind: Kind::Secret,
            name: ObjectName::new(self.settings.namespace.clone(), peer::SECRET),
        });
        let gone = self.watches.keys().filter_map(|id| id.one.clone());
        let gone: Vec<_> = gone.filter(|it| !wanted.contains(it)).collect();
        for key in gone {
            self.store.remove(&key);
            self.watches.remove(&WatchId {
                kind: key.kind,
                one: Some(key),
            });
        }
        for key in wanted {
            let id = WatchId {
                kind: key.kind,
                one: Some(key),
            };
            let resources = self.catalog.as_ref().map(|it| &it.resources);
            let resource = resources.and_then(|it| it.get(&id.kind)).cloned();
            if let (Some(resource), false) = (resource, self.watches.contains_key(&id)) {
                self.start(id, resource);
            }
        }
    }

    fn start(&mut self, id: WatchId, resource: Arc<ApiResource>) {
        debug!(kind = %id.kind, one = ?id.one, "watching");
        let task = watch(
            self.client.clone(),
            id.clone(),
            Arc::clone(&resource),
            self.sender.clone(),
        );
        let watch = Watch {
            task,
            resource,
            state: State::Starting,
            listed: BTreeSet::new(),
            problem: None,
        };
        self.watches.insert(id, watch);
    }

    fn event(&mut self, id: &WatchId, event: watcher::Event<Given>) {
        // An event may be on its way when its watch ends.
        let Some(watch) = self.watches.get_mut(id) else {
            return;
        };
        if watch.problem.take().is_some() {
            self.store.touch();
        }
        match event {
            watcher::Event::Init => watch.listed.clear(),
            watcher::Event::Apply(object) => {
                self.store.apply(id.kind, &watch.resource, object);
            }
            watcher::Event::InitApply(object) => {
                let key = self.store.apply(id.kind, &watch.resource, object);
                watch.listed.insert(key);
            }
            watcher::Event::Delete(object) => {
                self.store.remove(&key_of(id.kind, &object.metadata));
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(&mut watch.listed);
                watch.state = State::Ready;
                match &id.one {
                    None => self.store.retain(id.kind, &listed),
                    Some(key) if !listed.contains(key) => self.store.remove(key),
                    Some(_) => {}
                }
                self.store.touch();
            }
        }
    }

    fn failed(&mut self, id: &WatchId, error: &watcher::Error) {
        let Some(watch) = self.watches.get_mut(id) else {
            return;
        };
        let Some(missing) = forbidden(error) else {
            debug!(kind = %id.kind, %error, "watch interrupted");
            return;
        };
        let what = match &id.one {
            Some(key) => key.to_string(),
            None => format!("{} of the cluster", watch.resource.plural),
        };
        let problem = problem(format!("{what} may not be read: {missing}"));
        if watch.problem.as_ref() == Some(&problem) {
            return;
        }
        warn!(%problem, "a right is missing");
        watch.problem = Some(problem);
        if id.one.is_some() {
            watch.state = State::Ready;
        }
        self.store.touch();
    }

    /// Everything, if something is new; the first time only when every list is complete.
    fn content(&mut self) -> Option<Content> {
        let catalog = self.catalog.as_ref()?;
        let watches = self.watches.values();
        let mut states = watches.clone().map(|it| it.state);
        self.complete = self.complete || states.all(|it| it == State::Ready);
        if !self.complete {
            return None;
        }
        let problems = watches.filter_map(|it| it.problem.clone()).collect();
        let mut content = self.store.take_changed(&problems)?;
        let namespace = &self.settings.namespace;
        content.inputs.served = Some(Arc::clone(&catalog.served));
        content.membership_key = peer::membership_key(&content.inputs, namespace);
        Some(content)
    }
}

/// What the API server says of a missing right.
fn forbidden(error: &watcher::Error) -> Option<&str> {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status,
        watcher::Error::WatchError(status) => status,
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => return None,
    };
    (status.code == 403).then_some(&status.message)
}

/// Kinds of which only the objects that are referenced are read.
fn is_single(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Secret | Kind::ConfigMap | Kind::ClusterTrustBundle
    )
}

/// Watches until it is aborted; `watcher` repeats what fails, ever more slowly.
fn watch(
    client: Client,
    id: WatchId,
    resource: Arc<ApiResource>,
    sender: mpsc::Sender<Message>,
) -> AbortHandle {
    let mut config = watcher::Config::default();
    if let Some(key) = &id.one {
        config = config.fields(&format!("metadata.name={}", key.name.name));
    }
    let task = tokio::spawn(async move {
        let resource = resource.as_ref();
        let mut events = match &id.one {
            // Of Namespaces the labels are read, of the rest everything.
            None if id.kind == Kind::Namespace => {
                let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, resource);
                let events = watcher(api, config).default_backoff();
                events.map(|it| it.map(with_metadata)).boxed()
            }
            None => watcher(Api::all_with(client, resource), config)
                .default_backoff()
                .boxed(),
            Some(key) if !key.kind.is_namespaced() => {
                watcher(Api::all_with(client, resource), config)
                    .default_backoff()
                    .boxed()
            }
            Some(key) => {
                let api = Api::namespaced_with(client, &key.name.namespace, resource);
                watcher(api, config).default_backoff().boxed()
            }
        };
        while let Some(event) = events.next().await {
            let message = match event {
                Ok(event) => Message::Event(id.clone(), Box::new(event)),
                Err(error) => Message::Failed(id.clone(), error),
            };
            if sender.send(message).await.is_err() {
                return;
            }
        }
    });
    task.abort_handle()
}

/// An event of metadata as one of an object that has nothing else.
fn with_metadata(event: watcher::Event<PartialObjectMeta<DynamicObject>>) -> watcher::Event<Given> {
    let object = |it: PartialObjectMeta<DynamicObject>| Given {
        metadata: it.metadata,
        data: serde_json::Map::new(),
    };
    match event {
        watcher::Event::Apply(it) => watcher::Event::Apply(object(it)),
        watcher::Event::Delete(it) => watcher::Event::Delete(object(it)),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(it) => watcher::Event::InitApply(object(it)),
        watcher::Event::InitDone => watcher::Event::InitDone,
    }
}
