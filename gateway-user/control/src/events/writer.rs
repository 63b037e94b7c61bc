//! Writes events to the API server: only while this process is the leader, and within a budget.
//!
//! The name of an event follows from what it says, so that a leader finds what the one before it has written.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use gateway_translate::{Kind, ObjectKey};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::complaints::Complaints;
use super::{Events, Happening, Level};
use crate::leader::{Leadership, holds};
use crate::seen::SeenAll;
use crate::seen_status::Seen;
use crate::{Problem, status};

/// Events that may be written at once.
const BUDGET: u32 = 25;
/// After this time one more may be written.
const REFILL: Duration = Duration::from_secs(4);
/// What is said again within this time is not counted again.
const REPEAT: Duration = Duration::from_secs(10);
/// Kubernetes: `Event.note` has at most this many bytes.
const NOTE_BYTES_MAX: usize = 1024;
/// What is left of an object's name in that of an event, which has at most 253 characters.
const NAME_BYTES_MAX: usize = 230;

/// Who writes.
#[derive(Clone, Debug)]
pub struct Author {
    /// The controller's name.
    pub controller: String,
    /// This process.
    pub instance: String,
}

/// What happenings are found in.
#[derive(Clone, Debug)]
pub struct View {
    /// What the objects' statuses are to be.
    pub statuses: watch::Receiver<status::writer::Wanted>,
    /// What is wrong with the source.
    pub problems: watch::Receiver<Option<Arc<Vec<Problem>>>>,
}

/// The writer and what it knows.
pub struct Writer {
    client: Client,
    author: Author,
    events: Events,
    seen: SeenAll<Seen>,
    complaints: Complaints,
    /// When the events that were written are all forgiven.
    paid_by: Instant,
    /// When each event was written last.
    written: BTreeMap<String, Instant>,
    refused: bool,
}

impl Writer {
    /// A writer that has written nothing yet.
    pub fn new(client: Client, author: Author, events: Events, seen: SeenAll<Seen>) -> Self {
        Self {
            client,
            author,
            events,
            seen,
            complaints: Complaints::default(),
            paid_by: Instant::now(),
            written: BTreeMap::new(),
            refused: false,
        }
    }

    /// Writes until nobody tells anything any more.
    pub async fn run(mut self, mut view: View, mut leadership: watch::Receiver<Leadership>) {
        let events = self.events.clone();
        loop {
            let mut wakeup = None;
            if holds(*leadership.borrow_and_update()) {
                self.listen(&mut view);
                wakeup = self.write(&leadership).await;
            }
            tokio::select! {
                changed = view.statuses.changed() => if changed.is_err() { return },
                changed = view.problems.changed() => if changed.is_err() { return },
                changed = leadership.changed() => if changed.is_err() { return },
                () = events.told() => {}
                () = sleep_until(wakeup.unwrap_or_else(Instant::now)), if wakeup.is_some() => {}
            }
        }
    }

    /// Finds what has become wrong.
    fn listen(&mut self, view: &mut View) {
        let statuses = view.statuses.borrow_and_update().clone();
        let problems = view.problems.borrow_and_update().clone();
        let Some(statuses) = statuses else {
            return;
        };
        for happening in self.complaints.next(&statuses) {
            self.events.tell(happening);
        }
        let mut classes = statuses.of_kind(Kind::GatewayClass);
        let class = classes.next().map(|it| &it.object);
        if let (Some(class), Some(problems)) = (class, problems) {
            for happening in self.complaints.problems(class, &problems) {
                self.events.tell(happening);
            }
        }
    }

    /// Writes what waits, as far as the budget goes; gives when there is more of it.
    async fn write(&mut self, leadership: &watch::Receiver<Leadership>) -> Option<Instant> {
        while holds(*leadership.borrow()) {
            let now = Instant::now();
            let free = self.paid_by.checked_sub(REFILL * (BUDGET - 1));
            if free.is_some_and(|free| free > now) {
                return free;
            }
            let happening = self.events.next(now)?;
            let Some(seen) = self.seen.one(&happening.regarding) else {
                continue;
            };
            let name = name(&happening, &seen.uid);
            self.written.retain(|_, at| *at + REPEAT > now);
            if self.written.contains_key(&name) {
                continue;
            }
            self.paid_by = self.paid_by.max(now) + REFILL;
            self.written.insert(name.clone(), now);
            match self.put(&happening, &seen, name).await {
                Ok(()) => self.refused = false,
                Err(error) if self.refused => debug!(%error, "event not written"),
                Err(error) => {
                    self.refused = true;
                    warn!(%error, "event not written");
                }
            }
        }
        None
    }

    async fn put(&self, happening: &Happening, seen: &Seen, name: String) -> kube::Result<()> {
        let event = self.event(happening, seen, name.clone());
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match api.create(&PostParams::default(), &event).await {
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
            other => return other.map(drop),
        }
        let last = api.get(&name).await?;
        let series = EventSeries {
            count: last.series.map_or(1, |it| it.count) + 1,
            last_observed_time: now(),
        };
        let patch = Patch::Merge(json!({"series": series}));
        let patched = api.patch(&name, &PatchParams::default(), &patch).await;
        patched.map(drop)
    }

    fn event(&self, happening: &Happening, seen: &Seen, name: String) -> Event {
        let object = &happening.regarding;
        // Kubernetes: an event of an object of the cluster is in the namespace `default`.
        let namespace = if object.kind.is_namespaced() {
            &*object.name.namespace
        } else {
            "default"
        };
        let note = &happening.note;
        let note = note.get(..note.floor_char_boundary(NOTE_BYTES_MAX));
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            action: Some(happening.action.to_owned()),
            event_time: Some(now()),
            note: note.map(str::to_owned),
            reason: Some(happening.reason.to_owned()),
            regarding: Some(reference(object, seen)),
            reporting_controller: Some(self.author.controller.clone()),
            reporting_instance: Some(self.author.instance.clone()),
            type_: Some(match happening.level {
                Level::Normal => "Normal".to_owned(),
                Level::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        }
    }
}

fn reference(object: &ObjectKey, seen: &Seen) -> ObjectReference {
    let namespace = &object.name.namespace;
    ObjectReference {
        api_version: Some(seen.resource.api_version.clone()),
        kind: Some(object.kind.as_str().to_owned()),
        name: Some(object.name.name.to_string()),
        namespace: (!namespace.is_empty()).then(|| namespace.to_string()),
        uid: Some(seen.uid.clone()),
        ..ObjectReference::default()
    }
}

/// The object's name, and a hash of what is said of it.
fn name(happening: &Happening, uid: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (uid, happening.level, happening.reason, &happening.note).hash(&mut hasher);
    let object = &happening.regarding.name.name;
    let object = object.get(..object.floor_char_boundary(NAME_BYTES_MAX));
    format!("{}.{:016x}", object.unwrap_or_default(), hasher.finish())
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}
