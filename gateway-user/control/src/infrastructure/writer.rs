//! Makes, changes and takes away the Services of Gateways: only while this process is the leader, only what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gateway_translate::{Kind, ObjectKey};
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::service::{Action, FIELD_MANAGER, SeenService, name, plan};
use crate::events::{Events, Happening, Level};
use crate::leader::{Leadership, holds};
use crate::pace::Pauses;
use crate::publish::Infrastructure;
use crate::seen::SeenAll;
use crate::seen_status::Seen;

/// What has to be there; none: that is not known yet.
pub type Wanted = Option<Arc<Vec<Infrastructure>>>;

/// The writer and what it knows.
pub struct Writer {
    client: Client,
    /// The Gateways are among them.
    statuses: SeenAll<Seen>,
    services: SeenAll<SeenService>,
    events: Events,
    pauses: BTreeMap<ObjectKey, Pauses>,
    start: Instant,
}

/// Something that is to be done now.
struct Due {
    /// The Gateway that the Service is for, if it is for one.
    gateway: Option<ObjectKey>,
    service: ObjectKey,
    action: Action,
}

impl Writer {
    /// A writer that has done nothing yet.
    pub fn new(
        client: Client,
        statuses: SeenAll<Seen>,
        services: SeenAll<SeenService>,
        events: Events,
    ) -> Self {
        Self {
            client,
            statuses,
            services,
            events,
            pauses: BTreeMap::new(),
            start: Instant::now(),
        }
    }

    /// Writes until nobody tells what is wanted any more.
    pub async fn run(
        mut self,
        mut wanted: watch::Receiver<Wanted>,
        mut leadership: watch::Receiver<Leadership>,
    ) {
        let mut gateways = self.statuses.changes();
        let mut services = self.services.changes();
        loop {
            gateways.mark_unchanged();
            services.mark_unchanged();
            // All of them are looked at: there is one for each Gateway.
            let _looked_at = self.services.take_touched();
            let all = wanted.borrow_and_update().clone();
            let is_leader = holds(*leadership.borrow_and_update());
            let mut wakeup = None;
            if let (Some(all), true) = (all, is_leader) {
                let (due, next) = self.due(&all);
                for due in due {
                    // Each asks anew: a Lease can end while a long queue is worked off.
                    if holds(*leadership.borrow()) {
                        self.act(due).await;
                    }
                }
                wakeup = next.map(|it| self.start + it);
            }
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                changed = leadership.changed() => if changed.is_err() { return },
                _ = gateways.changed() => {}
                _ = services.changed() => {}
                () = sleep_until(wakeup.unwrap_or_else(Instant::now)), if wakeup.is_some() => {}
            }
        }
    }

    /// What is to be done now, and when there is more.
    fn due(&mut self, wanted: &[Infrastructure]) -> (Vec<Due>, Option<Duration>) {
        let now = self.start.elapsed();
        let seen = self.services.all();
        let wanted: BTreeMap<_, _> = wanted.iter().map(|it| (key(it), it)).collect();
        let all: BTreeSet<_> = wanted.keys().chain(seen.keys()).cloned().collect();
        self.pauses.retain(|service, _| all.contains(service));
        let (mut due, mut next) = (Vec::new(), None::<Duration>);
        for service in all {
            let wanted = match wanted.get(&service) {
                Some(wanted) => match self.statuses.one(&gateway(wanted)) {
                    Some(seen) => Some((*wanted, seen)),
                    // It has gone, and its Service goes with it.
                    None => continue,
                },
                None => None,
            };
            let wanted = wanted.as_ref().map(|(it, seen)| (*it, seen.uid.as_str()));
            let Some(action) = plan(wanted, seen.get(&service).map(AsRef::as_ref)) else {
                continue;
            };
            let gateway = wanted.map(|(it, _)| gateway(it));
            let at = self.pauses.get(&service).map_or(now, Pauses::until);
            if at <= now {
                due.push(Due {
                    gateway,
                    service,
                    action,
                });
            } else {
                next = Some(next.map_or(at, |it| it.min(at)));
            }
        }
        (due, next)
    }

    async fn act(&mut self, due: Due) {
        let Due {
            gateway,
            service,
            action,
        } = due;
        let namespace = &service.name.namespace;
        let api: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let name = &*service.name.name;
        let done = match action {
            Action::Create(object) => create(&api, object).await.map(Some),
            Action::Patch(patch) => {
                let parameters = PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                let patch = Patch::Merge(&patch);
                api.patch(name, &parameters, &patch).await.map(Some)
            }
            Action::Delete => {
                let seen = self.services.one(&service);
                let preconditions = seen.map(|it| Preconditions {
                    uid: Some(it.uid.clone()),
                    resource_version: Some(it.resource_version.clone()),
                });
                let parameters = DeleteParams {
                    preconditions,
                    ..DeleteParams::default()
                };
                api.delete(name, &parameters).await.map(|_| None)
            }
        };
        let pauses = self.pauses.entry(service.clone()).or_default();
        match done {
            Ok(object) => {
                info!(%service, "the Service of a Gateway is as it should be");
                pauses.succeeded(self.start.elapsed());
                match object.and_then(|it| SeenService::of(&it.metadata)) {
                    Some(seen) => drop(self.services.set(service, seen)),
                    None => self.services.remove(&service),
                }
            }
            Err(error) => {
                pauses.failed(self.start.elapsed());
                self.explain(gateway, &service, &error);
            }
        }
    }

    fn explain(&self, gateway: Option<ObjectKey>, service: &ObjectKey, error: &kube::Error) {
        let status = if let kube::Error::Api(status) = error {
            Some(status)
        } else {
            None
        };
        match status.map_or("", |it| it.reason.as_str()) {
            "AlreadyExists" => {
                let name = &service.name;
                let note = format!(
                    "Service {name} was not made for the Gateway: it is left alone, and the Gateway has none"
                );
                warn!("{note}");
                if let Some(regarding) = gateway {
                    self.events.tell(Happening {
                        regarding,
                        level: Level::Warning,
                        reason: "NameTaken",
                        action: "CreateService",
                        note,
                    });
                }
            }
            // It has changed or gone meanwhile, which the watch tells of.
            "Conflict" | "NotFound" => {
                debug!(%service, %error, "Service not written; trying again")
            }
            _ => warn!(%service, %error, "the Service of a Gateway is not written; trying again"),
        }
    }
}

async fn create(api: &Api<Service>, object: Value) -> kube::Result<Service> {
    let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    api.create(&parameters, &object).await
}

fn key(wanted: &Infrastructure) -> ObjectKey {
    let mut service = wanted.gateway.clone();
    service.name = name(&service.name).into();
    ObjectKey {
        kind: Kind::Service,
        name: service,
    }
}

fn gateway(wanted: &Infrastructure) -> ObjectKey {
    ObjectKey {
        kind: Kind::Gateway,
        name: wanted.gateway.clone(),
    }
}
