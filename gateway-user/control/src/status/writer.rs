//! Writes statuses to the API server: the only place that does.
//!
//! Only the leader writes, only what really changes, and only over the version that the change was made for: a
//! conflict reads the object again. What cannot be written is tried again, ever more slowly. It looks at what has changed,
//! here or there, and at nothing else: how many objects there are costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use gateway_translate::{Kind, ObjectKey, ObjectStatus, Statuses};
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
/// Writes after which it is looked again whether there are more urgent ones: the statuses of a thousand routes take
/// seconds, and the Gateway that counts them comes first.
const ROUND_MAX: usize = 4 * WRITES_MAX;
/// How often a write is repeated at once because another controller was faster.
const CONFLICTS_MAX: u32 = 5;
/// The name under which the API server notes our fields.
const FIELD_MANAGER: &str = "sanmon";

/// What has to be in the API server; none: that is not known yet.
pub type Wanted = Option<Statuses>;

/// What a GatewayClass is to say that it supports; none: that is not known yet.
pub type Features = Option<Arc<Vec<&'static str>>>;

/// The writer and what it knows.
pub struct Writer {
    client: Client,
    controller: String,
    /// What GatewayClasses say that they support.
    features: Arc<Vec<&'static str>>,
    seen: SeenAll<Seen>,
    wanted: Statuses,
    objects: BTreeMap<ObjectKey, Object>,
    /// What has changed and has not been settled since, what a Gateway is made of first: the order of kinds.
    pending: BTreeSet<ObjectKey>,
    start: Instant,
}

/// One object's state.
#[derive(Debug, Default)]
struct Object {
    pace: Pace,
    /// What was wanted when it was looked at last.
    wanted: Option<Arc<ObjectStatus>>,
}

/// One write that is due.
#[derive(Debug)]
struct Write {
    key: ObjectKey,
    seen: Arc<Seen>,
    patch: Value,
    wanted: Option<Arc<ObjectStatus>>,
}

#[derive(Debug)]
enum Written {
    /// The object says what is wanted, in this form.
    Done(Seen),
    /// The object has gone, or a change of it is on its way here.
    Needless,
    /// This process is not the leader any more.
    NotLeader,
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
            wanted: Statuses::default(),
            objects: BTreeMap::new(),
            pending: BTreeSet::new(),
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
            self.pending.append(&mut self.seen.take_touched());
            let statuses = wanted.borrow_and_update().clone();
            let is_known = statuses.is_some();
            if let Some(statuses) = statuses {
                self.want(statuses);
            }
            if let Some(features) = features.borrow_and_update().clone() {
                self.support(features);
            }
            let mut wakeup = None;
            if is_known && holds(*leadership.borrow_and_update()) {
                let writes = self.due();
                self.write(writes, &leadership).await;
                wakeup = self.next().map(|it| self.start + it);
            }
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                changed = features.changed() => if changed.is_err() { return },
                changed = leadership.changed() => if changed.is_err() { return },
                _ = seen.changed() => {}
                () = sleep_until(wakeup.unwrap_or_else(Instant::now)), if wakeup.is_some() => {}
            }
        }
    }

    /// Takes over what is wanted: what differs is looked at.
    fn want(&mut self, statuses: Statuses) {
        let changed = self.wanted.differences(&statuses);
        self.pending.extend(changed.cloned());
        self.wanted = statuses;
    }

    /// Takes over what is supported: classes are looked at again if that is new.
    fn support(&mut self, features: Arc<Vec<&'static str>>) {
        if self.features != features {
            self.features = features;
            self.pending.extend(self.seen.of_kind(Kind::GatewayClass));
        }
    }

    /// The writes that are due, the first of them; what needs none is settled.
    fn due(&mut self) -> Vec<Write> {
        let now = self.start.elapsed();
        let stamp = stamp();
        let author = Author {
            controller: &self.controller,
            now: &stamp,
            features: &self.features,
        };
        let (mut writes, mut settled) = (Vec::new(), Vec::new());
        for key in &self.pending {
            if writes.len() == ROUND_MAX {
                break;
            }
            let Some(seen) = self.seen.one(key) else {
                self.objects.remove(key);
                settled.push(key.clone());
                continue;
            };
            let wanted = self.wanted.shared(key);
            let object = self.objects.entry(key.clone()).or_default();
            if object.wanted.as_ref() != wanted {
                let change = difference(object.wanted.as_deref(), wanted.map(AsRef::as_ref));
                object.pace.change(now, change);
                object.wanted = wanted.cloned();
            }
            if object.pace.due(now) > now {
                continue;
            }
            let wanted = wanted.cloned();
            match merge(key.kind, &seen.status(), wanted.as_deref(), &author) {
                None => settled.push(key.clone()),
                Some(patch) => writes.push(Write {
                    key: key.clone(),
                    seen,
                    patch,
                    wanted,
                }),
            }
        }
        for key in settled {
            self.pending.remove(&key);
        }
        writes
    }

    /// When the next write is due.
    fn next(&self) -> Option<Duration> {
        let now = self.start.elapsed();
        let due = |key: &ObjectKey| self.objects.get(key).map_or(now, |it| it.pace.due(now));
        self.pending.iter().map(due).min()
    }

    async fn write(&mut self, writes: Vec<Write>, leadership: &watch::Receiver<Leadership>) {
        let (client, controller, features) = (&self.client, &self.controller, &self.features);
        let results = stream::iter(writes).map(|write| async move {
            // Each write asks anew: a Lease can end while a long queue is worked off.
            if !holds(*leadership.borrow()) {
                return (write.key, Written::NotLeader);
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
                    self.pending.remove(&key);
                    self.seen.set(key, seen);
                }
                Written::Needless => {
                    self.pending.remove(&key);
                }
                Written::NotLeader => {}
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
        let wanted = write.wanted.as_deref();
        let Some(merged) = merge(write.key.kind, current, wanted, &author) else {
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
