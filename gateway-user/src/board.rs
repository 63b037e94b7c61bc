//! What the parts of the process know of each other's state: written by the wire, read by the admin server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_control::leader::Candidacy;
use gateway_control::leader::arbiter::Need;
use gateway_control::status::fleet::Runs;
use gateway_control::status::{self, Readiness, Reports};
use gateway_control::{Published, Severity};
use gateway_ir::{Gate, GateReport, Generation, ListenerFailure, Mac, NodeName};
use gateway_l7::Explainer;
use gateway_translate::Statuses;
use parking_lot::RwLock;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::watch;

use crate::telemetry::{GateLabel, Metrics};

/// Which part a registry of metrics belongs to; a part that starts anew brings a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Process,
    Datapath,
    Membership,
    Proxy,
}

/// Where this node stands on a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Owner {
    pub(crate) address: IpAddr,
    /// The Gateway that it belongs to.
    pub(crate) gateway: Option<String>,
    /// The pool that it comes from.
    pub(crate) pool: Option<String>,
    /// The node that answers, as far as this one knows.
    pub(crate) node: Option<NodeName>,
    /// Since when it is so, in milliseconds since 1970.
    pub(crate) since_ms: Option<u128>,
    pub(crate) interfaces: Vec<String>,
    /// Why that node answers.
    pub(crate) why: String,
    /// The Ethernet address of another machine that claims it.
    pub(crate) conflict: Option<String>,
    /// What becomes of it because of that.
    pub(crate) contest: Option<Contest>,
    /// Why this node stays silent.
    pub(crate) withheld: Option<String>,
}

/// What becomes of a VIP that another machine claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Contest {
    /// It is announced all the same.
    Defended,
    /// It is not announced.
    Withheld,
    /// The Gateway gets another one.
    SetAside,
}

/// Another node, as its heartbeats show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Neighbor {
    pub(crate) node: NodeName,
    pub(crate) address: Option<IpAddr>,
    /// When it was heard last, in milliseconds since 1970.
    pub(crate) heard_ms: Option<u128>,
    /// From a heartbeat to its echo, in microseconds.
    pub(crate) round_trip_us: Option<u128>,
    /// The configuration that it runs.
    pub(crate) generation: Generation,
}

/// What it means that gates 1 and 2 are wanted and cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GatesOff {
    /// A remark: who runs the process without rights wants gate 3 alone.
    Noted,
    /// The process is not ready: a node of a cluster must not look like one that serves.
    Unready,
}

/// The routes from gate 2 to gate 3, as they were set last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Routed {
    /// The configuration that they are of.
    pub(crate) generation: Generation,
    /// The listeners whose VIP has none.
    pub(crate) failures: Vec<ListenerFailure>,
}

/// The state of the process.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) node: NodeName,
    published: watch::Receiver<Option<Arc<Published>>>,
    gates_off: GatesOff,
    reports: RwLock<Reports>,
    /// Tells of new reports.
    reported: watch::Sender<()>,
    owners: watch::Sender<Vec<Owner>>,
    /// Addresses that other machines have.
    aside: watch::Sender<BTreeMap<IpAddr, Mac>>,
    neighbors: RwLock<Vec<Neighbor>>,
    notes: RwLock<BTreeSet<String>>,
    routed: RwLock<Option<Routed>>,
    draining: RwLock<Option<Duration>>,
    /// What the other nodes run that are heard.
    fleet: watch::Sender<Vec<Runs>>,
    /// Whether this node competes for the Lease.
    candidacy: watch::Sender<Candidacy>,
    /// Whether two nodes need an arbiter.
    arbiter: watch::Sender<Need>,
    /// What all gates of this node run.
    running: RwLock<Generation>,
    registries: RwLock<BTreeMap<Part, Arc<Registry>>>,
    /// What explains the requests of the proxy that serves.
    explainers: RwLock<Option<watch::Receiver<Option<Explainer>>>>,
    metrics: Metrics,
}

impl Board {
    /// Starts with nothing known but the metrics of the process.
    pub(crate) fn new(
        node: NodeName,
        published: watch::Receiver<Option<Arc<Published>>>,
        gates_off: GatesOff,
    ) -> Self {
        let (metrics, registry) = Metrics::new();
        Self {
            node,
            published,
            gates_off,
            reports: RwLock::default(),
            reported: watch::Sender::new(()),
            owners: watch::Sender::default(),
            aside: watch::Sender::default(),
            neighbors: RwLock::default(),
            notes: RwLock::default(),
            routed: RwLock::default(),
            draining: RwLock::default(),
            fleet: watch::Sender::default(),
            candidacy: watch::Sender::new(Candidacy::Stands),
            arbiter: watch::Sender::default(),
            running: RwLock::default(),
            registries: RwLock::new(BTreeMap::from([(Part::Process, registry)])),
            explainers: RwLock::default(),
            metrics,
        }
    }

    /// Takes over a gate's newest report.
    pub(crate) fn report(&self, gate: Gate, report: GateReport) {
        self.reports.write().insert(gate, report);
        self.reported.send_replace(());
    }

    /// What the gates report, now. Behind gate 2 the proxy runs what has its routes, too.
    pub(crate) fn reports(&self) -> Reports {
        let mut reports = self.reports.read().clone();
        let steers = reports.get(&Gate::Steer).is_some_and(|it| it.off.is_none());
        if let Some(proxy) = reports.get_mut(&Gate::Proxy).filter(|_| steers) {
            let newest = self.published().map(|it| it.generation);
            match &*self.routed.read() {
                Some(routed) if Some(routed.generation) == newest => {
                    proxy.failures.extend(routed.failures.iter().cloned());
                    proxy.failures.sort();
                }
                Some(routed) => proxy.programmed = Some(routed.generation),
                None => proxy.programmed = None,
            }
        }
        reports
    }

    /// Tells of every new report.
    pub(crate) fn reported(&self) -> watch::Receiver<()> {
        self.reported.subscribe()
    }

    /// Tells of every new publication.
    pub(crate) fn publications(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.clone()
    }

    /// Says that a gate is off, and why.
    pub(crate) fn off(&self, gate: Gate, why: &str) {
        let off = Some(why.to_owned());
        self.report(
            gate,
            GateReport {
                off,
                ..GateReport::default()
            },
        );
    }

    /// Takes over who answers for which VIP.
    pub(crate) fn owners(&self, owners: Vec<Owner>) {
        self.owners.send_replace(owners);
    }

    /// Tells of every change of who answers.
    pub(crate) fn owned(&self) -> watch::Receiver<Vec<Owner>> {
        self.owners.subscribe()
    }

    /// Takes over which addresses other machines have, so that Gateways get others.
    pub(crate) fn set_aside(&self, aside: &BTreeMap<IpAddr, Mac>) {
        self.aside.send_if_modified(|last| {
            let changed = last != aside;
            last.clone_from(aside);
            changed
        });
    }

    /// Tells which addresses other machines have.
    pub(crate) fn aside(&self) -> watch::Receiver<BTreeMap<IpAddr, Mac>> {
        self.aside.subscribe()
    }

    /// Takes over what is known of the other nodes.
    pub(crate) fn meet(&self, neighbors: Vec<Neighbor>) {
        *self.neighbors.write() = neighbors;
    }

    /// What is known of the other nodes.
    pub(crate) fn neighbors(&self) -> Vec<Neighbor> {
        self.neighbors.read().clone()
    }

    /// Takes over what gates 1 and 2 have to say beside their reports.
    pub(crate) fn notes(&self, notes: BTreeSet<String>) {
        *self.notes.write() = notes;
    }

    /// Takes over what the other nodes run that are heard.
    pub(crate) fn heard(&self, runs: Vec<Runs>) {
        let changed = |last: &mut Vec<Runs>| std::mem::replace(last, runs.clone()) != runs;
        self.fleet.send_if_modified(changed);
    }

    /// Tells what the other nodes run.
    pub(crate) fn fleet(&self) -> watch::Receiver<Vec<Runs>> {
        self.fleet.subscribe()
    }

    /// Takes over whether this node is one that hears all others: only such a one knows what they all run.
    pub(crate) fn stand(&self, candidacy: Candidacy) {
        let changed = |last: &mut Candidacy| std::mem::replace(last, candidacy) != candidacy;
        self.candidacy.send_if_modified(changed);
    }

    /// Tells whether this node competes for the Lease.
    pub(crate) fn candidacy(&self) -> watch::Receiver<Candidacy> {
        self.candidacy.subscribe()
    }

    /// Takes over whether this node is one of two and needs an arbiter between them.
    pub(crate) fn want_arbiter(&self, need: Need) {
        let changed = |last: &mut Need| std::mem::replace(last, need) != need;
        self.arbiter.send_if_modified(changed);
    }

    /// Tells whether an arbiter is needed.
    pub(crate) fn arbiter_wanted(&self) -> watch::Receiver<Need> {
        self.arbiter.subscribe()
    }

    /// Takes over what all gates of this node run.
    pub(crate) fn run(&self, generation: Generation) {
        *self.running.write() = generation;
    }

    /// What all gates of this node run.
    pub(crate) fn running(&self) -> Generation {
        *self.running.read()
    }

    /// Takes over how far the routes from gate 2 to gate 3 are.
    pub(crate) fn routed(&self, routed: Routed) {
        *self.routed.write() = Some(routed);
        self.reported.send_replace(());
    }

    /// Says that the process is ending.
    pub(crate) fn drain(&self, within: Duration) {
        *self.draining.write() = Some(within);
    }

    /// Shows a part's metrics, in place of those of its predecessor.
    pub(crate) fn registry(&self, part: Part, registry: Registry) {
        self.registries.write().insert(part, Arc::new(registry));
    }

    /// Explains by a proxy from now on.
    pub(crate) fn explainers(&self, explainers: watch::Receiver<Option<Explainer>>) {
        *self.explainers.write() = Some(explainers);
    }

    /// What explains requests by the configuration that is in force.
    pub(crate) fn explainer(&self) -> Option<Explainer> {
        let explainers = self.explainers.read();
        explainers.as_ref()?.borrow().clone()
    }

    /// The newest publication.
    pub(crate) fn published(&self) -> Option<Arc<Published>> {
        self.published.borrow().clone()
    }

    /// Where this node stands on every VIP.
    pub(crate) fn ownership(&self) -> Vec<Owner> {
        self.owners.borrow().clone()
    }

    /// The conditions of every object, as they are now.
    pub(crate) fn conditions(&self, published: &Published) -> Statuses {
        status::conditions(published, &self.reports())
    }

    /// Whether the process serves.
    pub(crate) fn readiness(&self) -> Readiness {
        let published = self.published();
        let mut readiness = status::readiness(published.as_deref(), &self.reports());
        readiness.notes.extend(self.notes.read().iter().cloned());
        if let Some(text) = self.wanted_off(published.as_deref()) {
            readiness.missing.push(text);
            readiness.ready = false;
        }
        let unrouted = self.unrouted();
        readiness.ready &= unrouted.is_empty();
        readiness.missing.extend(unrouted);
        if let Some(within) = *self.draining.read() {
            let text = format!("the process is ending, within {} s", within.as_secs());
            readiness.missing.push(text);
            readiness.ready = false;
        }
        readiness
    }

    /// A gate that has something to do here and cannot.
    fn wanted_off(&self, published: Option<&Published>) -> Option<String> {
        let wanted = self.gates_off == GatesOff::Unready && published?.has_pools;
        let reports = self.reports.read();
        let off = reports.get(&Gate::Steer)?.off.as_ref();
        off.filter(|_| wanted)
            .map(|why| format!("gates 1 and 2 are wanted and off: {why}"))
    }

    /// What is missing of the routes that gate 3 needs behind gate 2: without one a VIP's connections go nowhere.
    fn unrouted(&self) -> BTreeSet<String> {
        let routed = self.routed.read();
        let failures = routed.iter().flat_map(|it| &it.failures);
        failures.map(|it| it.message.clone()).collect()
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// When an instrument cannot be written.
    pub(crate) fn metrics(&self) -> Result<String, std::fmt::Error> {
        self.refresh();
        let registries: Vec<_> = self.registries.read().values().map(Arc::clone).collect();
        let mut text = String::new();
        for registry in registries {
            encode_registry(&mut text, &registry)?;
        }
        encode_eof(&mut text)?;
        Ok(text)
    }

    fn refresh(&self) {
        let published = self.published();
        let problems = published.iter().flat_map(|it| &it.problems);
        let errors = problems.filter(|it| it.severity == Severity::Error).count();
        let errors = i64::try_from(errors).unwrap_or(i64::MAX);
        self.metrics.problems.set(errors);
        let generation = published.map(|it| it.generation);
        for (gate, report) in self.reports.read().iter() {
            let gate = match gate {
                Gate::Announce => "announce",
                Gate::Steer => "steer",
                Gate::Proxy => "proxy",
            };
            let current = generation.is_some() && report.programmed == generation;
            let label = GateLabel { gate };
            self.metrics
                .current
                .get_or_create(&label)
                .set(current.into());
        }
        let owners = self.owners.borrow();
        let owned = owners
            .iter()
            .filter(|it| it.node.as_ref() == Some(&self.node))
            .count();
        self.metrics.owned.set(owned.try_into().unwrap_or(u64::MAX));
    }
}
