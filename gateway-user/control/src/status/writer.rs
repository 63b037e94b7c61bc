//! Writes statuses to the API server: the only place that does.
//!
//! Only the leader writes, only what really changes, and only over the version that the change was made for: a
//! conflict reads the object again. What cannot be written is tried again, ever more slowly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use gateway_translate::{Kind, ObjectKey, ObjectStatus};
use k8s_openapi::jiff::{Timestamp, Unit};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::merge::{Author, merge};
use crate::leader::{Leadership, holds};
use crate::pace::{Change, Pace};
use crate::seen::SeenAll;
use crate::seen_status::Seen;

/// Writes at the same time.
const WRITES_MAX: usize = 8;
/// How often a write is repeated at once because another controller was faster.
const CONFLICTS_MAX: u32 = 5;
/// The name under which the API server notes our fields.
const FIELD_MANAGER: &str = "sanmon";

/// What has to be in the API server, sorted.
pub type Wanted = Option<Arc<Vec<ObjectStatus>>>;

/// What a GatewayClass is to say that it supports; none: that is not known yet.
pub type Features = Option<Arc<Vec<&'static str>>>;

/// The writer and what it knows.
pub struct Writer {
    client: Client,
    controller: String,
    /// What GatewayClasses say that they support.
    features: Arc<Vec<&'static str>>,
    seen: SeenAll<Seen>,
    objects: BTreeMap<ObjectKey, Object>,
    start: Instant,
}

/// One object's state.
#[derive(Debug, Default)]
struct Object {
    pace: Pace,
    /// What was wanted when it was looked at last.
    wanted: Option<ObjectStatus>,
    /// The form that says what is wanted; none: something is to be written.
    settled: Option<Arc<Seen>>,
}

/// One write that is due.
#[derive(Debug)]
struct Write {
    key: ObjectKey,
    seen: Arc<Seen>,
    patch: Value,
    wanted: Option<ObjectStatus>,
}

#[derive(Debug)]
enum Written {
    /// The object says what is wanted, in this form.
    Done(Seen),
    /// The object has gone, or it will be looked at again.
    Needless,
    Failed(kube::Error),
}

impl Writer {
    /// A writer that has written nothing yet.
    pub fn new(client: Client, controller: String, seen: SeenAll<Seen>) -> Self {
        Self {
            client,
            controller,
            features: Arc::default(),
            seen,
            objects: BTreeMap::new(),
            start: Instant::now(),
        }
    }

    /// Writes until nobody wants anything any more.
    pub async fn run(
        mut self,
        mut wanted: watch::Receiver<Wanted>,
        mut features: watch::Receiver<Features>,
        mut leadership: watch::Receiver<Leadership>,
    ) {
        let mut seen = self.seen.changes();
        loop {
            seen.mark_unchanged();
            let statuses = wanted.borrow_and_update().clone();
            if let Some(features) = features.borrow_and_update().clone() {
                self.support(features);
            }
            let is_leader = holds(*leadership.borrow_and_update());
            let (mut wakeup, mut looked, begin) = (None, Duration::ZERO, Instant::now());
            if let (Some(statuses), true) = (statuses, is_leader) {
                let (writes, next) = self.due(&statuses);
                looked = begin.elapsed();
                self.write(writes, &leadership).await;
                wakeup = next;
            }
            // The thread that looks at every object here also reads them: at most half of it is for this.
            sleep_until(Instant::now() + looked).await;
            let wakeup = wakeup.map(|it| self.start + it);
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                changed = features.changed() => if changed.is_err() { return },
                changed = leadership.changed() => if changed.is_err() { return },
                _ = seen.changed() => {}
                () = sleep_until(wakeup.unwrap_or_else(Instant::now)), if wakeup.is_some() => {}
            }
        }
    }

    /// Takes over what is supported: classes are looked at again if that is new.
    fn support(&mut self, features: Arc<Vec<&'static str>>) {
        if self.features == features {
            return;
        }
        self.features = features;
        for (_, class) in self
            .objects
            .iter_mut()
            .filter(|(key, _)| key.kind == Kind::GatewayClass)
        {
            class.settled = None;
        }
    }

    /// The writes that are due, and when the next one is.
    fn due(&mut self, wanted: &[ObjectStatus]) -> (Vec<Write>, Option<Duration>) {
        let now = self.start.elapsed();
        let stamp = stamp();
        let author = Author {
            controller: &self.controller,
            now: &stamp,
            features: &self.features,
        };
        let seen = self.seen.all();
        self.objects.retain(|key, _| seen.contains_key(key));
        let wanted: BTreeMap<_, _> = wanted.iter().map(|it| (&it.object, it)).collect();
        let (mut writes, mut next) = (Vec::new(), None::<Duration>);
        for (key, seen) in seen {
            let wanted = wanted.get(&key).copied();
            let object = self.objects.entry(key.clone()).or_default();
            let same = object.wanted.as_ref() == wanted;
            if same
                && object
                    .settled
                    .as_ref()
                    .is_some_and(|it| Arc::ptr_eq(it, &seen))
            {
                continue;
            }
            if !same {
                let change = difference(object.wanted.as_ref(), wanted);
                object.pace.change(now, change);
                object.wanted = wanted.cloned();
            }
            let Some(patch) = merge(key.kind, &seen.status(), wanted, &author) else {
                object.settled = Some(seen);
                continue;
            };
            object.settled = None;
            let due = object.pace.due(now);
            if due > now {
                next = Some(next.map_or(due, |it| it.min(due)));
                continue;
            }
            writes.push(Write {
                key,
                seen,
                patch,
                wanted: wanted.cloned(),
            });
        }
        (writes, next)
    }

    async fn write(&mut self, writes: Vec<Write>, leadership: &watch::Receiver<Leadership>) {
        let (client, controller, features) = (&self.client, &self.controller, &self.features);
        let results = stream::iter(writes).map(|write| async move {
            // Each write asks anew: a Lease can end while a long queue is worked off.
            if !holds(*leadership.borrow()) {
                return (write.key, Written::Needless);
            }
            let written = one(client, controller, features, &write).await;
            (write.key, written)
        });
        let mut results = results.buffer_unordered(WRITES_MAX);
        let mut forbidden = BTreeSet::new();
        while let Some((key, written)) = results.next().await {
            let now = self.start.elapsed();
            let object = self.objects.entry(key.clone()).or_default();
            match written {
                Written::Done(seen) => {
                    object.pace.written(now);
                    object.settled = Some(self.seen.set(key, seen));
                }
                Written::Needless => {}
                Written::Failed(error) => {
                    object.pace.failed(now);
                    if is_code(&error, 403) && !forbidden.insert(key.kind) {
                        continue;
                    }
                    warn!(object = %key, %error, "status not written; trying again");
                }
            }
        }
    }
}

/// Writes one status; reads the object again when somebody else was faster.
async fn one(client: &Client, controller: &str, features: &[&str], write: &Write) -> Written {
    let resource = write.seen.resource.as_ref();
    let name = &write.key.name;
    let api: Api<DynamicObject> = if write.key.kind.is_namespaced() {
        Api::namespaced_with(client.clone(), &name.namespace, resource)
    } else {
        Api::all_with(client.clone(), resource)
    };
    let mut version = write.seen.resource_version.clone();
    let mut status = write.patch.clone();
    for _attempt in 0..CONFLICTS_MAX {
        let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let error = match api
            .patch_status(&name.name, &parameters, &Patch::Merge(&patch))
            .await
        {
            Ok(object) => {
                debug!(object = %write.key, "status written");
                return Written::Done(seen_of(&write.seen, &object));
            }
            Err(error) => error,
        };
        if is_code(&error, 404) {
            return Written::Needless;
        }
        if !is_code(&error, 409) {
            return Written::Failed(error);
        }
        let object = match api.get_opt(&name.name).await {
            Ok(Some(object)) => object,
            Ok(None) => return Written::Needless,
            Err(error) => return Written::Failed(error),
        };
        let now = stamp();
        let author = Author {
            controller,
            now: &now,
            features,
        };
        let current = object.data.get("status").unwrap_or(&Value::Null);
        let Some(merged) = merge(write.key.kind, current, write.wanted.as_ref(), &author) else {
            return Written::Done(seen_of(&write.seen, &object));
        };
        status = merged;
        version = object.metadata.resource_version.unwrap_or_default();
    }
    // Another controller writes all the time: a pause lets it finish, and its last form comes by the watch.
    Written::Needless
}

/// What kind of change the way from one status to the next is.
fn difference(last: Option<&ObjectStatus>, next: Option<&ObjectStatus>) -> Change {
    let (Some(last), Some(next)) = (last, next) else {
        return Change::Words;
    };
    let mut counted = last.clone();
    counted.attached_listener_sets = next.attached_listener_sets;
    for (last, next) in counted.listeners.iter_mut().zip(&next.listeners) {
        last.attached_routes = next.attached_routes;
    }
    if counted == *next {
        Change::Numbers
    } else {
        Change::Words
    }
}

fn seen_of(last: &Seen, object: &DynamicObject) -> Seen {
    let version = object.metadata.resource_version.clone().unwrap_or_default();
    let status = object.data.get("status").unwrap_or(&Value::Null);
    Seen::new(
        Arc::clone(&last.resource),
        last.uid.clone(),
        version,
        status,
    )
}

fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// The time as conditions have it.
fn stamp() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}
