//! Puts snapshots into force: compiles them, opens and closes sockets, waits for the workers, reports.
//!
//! Runs on a thread of its own, so that neither the caller nor the workers wait for a compilation.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::{GateReport, HttpPort, ListenerFailure, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::explain::Explainer;
use crate::metrics::Metrics;
use crate::program::{Compiler, Program};
use crate::sockets::{self, Listen, Port};
use crate::worker_thread::{Command, tell};

/// Pauses between attempts to open a socket that somebody else holds.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// What the coordinator works with.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) listen: Listen,
    pub(crate) workers: Vec<mpsc::Sender<Command>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    pub(crate) reports: watch::Sender<GateReport>,
    pub(crate) explainers: watch::Sender<Option<Explainer>>,
    pub(crate) compiler: Compiler,
}

/// What is in force.
#[derive(Debug, Default)]
struct InForce {
    snapshot: Option<Arc<Snapshot>>,
    program: Arc<Program>,
    /// The one before, kept so that its memory is freed here and not on a worker between two requests; and meanwhile the one
    /// before that, which nobody has to wait for either.
    retired: Vec<Arc<Program>>,
    bound: BTreeSet<SocketAddr>,
    /// Failures of the compilation; those of sockets come and go.
    failures: Vec<ListenerFailure>,
}

impl Coordinator {
    /// Works until `stop` is sent or dropped; then lets the workers drain. Dropped: they end at once.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let mut in_force = InForce::default();
        let mut retry = Retry::default();
        let stopped = loop {
            tokio::select! {
                stopped = &mut stop => break stopped,
                changed = self.snapshots.changed() => {
                    let snapshot = self.snapshots.borrow_and_update().clone();
                    if changed.is_err() {
                        break stop.await;
                    }
                    if let Some(snapshot) = snapshot {
                        self.compile(&mut in_force, snapshot);
                        retry.reset();
                    }
                }
                () = retry.due() => {}
            }
            let failed = self.program(&mut in_force).await;
            retry.schedule(failed);
        };
        let timeout = match stopped {
            Ok(()) => in_force.program.settings.drain_timeout,
            Err(_dropped) => Duration::ZERO,
        };
        let drained = tell(&self.workers, |done| Command::Drain { timeout, done }).await;
        info!(workers = drained, "proxy drained");
    }

    fn compile(&mut self, in_force: &mut InForce, snapshot: Arc<Snapshot>) {
        let (program, failures) = self.compiler.compile(&snapshot);
        in_force.snapshot = Some(snapshot);
        let former = std::mem::replace(&mut in_force.program, Arc::new(program));
        in_force.retired.push(former);
        in_force.failures = failures;
    }

    /// Makes workers and sockets agree with the snapshot, as far as sockets can be had, and reports.
    async fn program(&mut self, in_force: &mut InForce) -> Sockets {
        let Some(snapshot) = in_force.snapshot.clone() else {
            return Sockets::Complete;
        };
        let plan = self.open(&snapshot, &mut in_force.bound);
        let mut opened = plan.opened.into_iter();
        let workers = tell(&self.workers, |done| Command::Apply {
            program: Arc::clone(&in_force.program),
            opened: opened.next().unwrap_or_default(),
            closed: plan.closed.clone(),
            done,
        })
        .await;
        if workers < self.workers.len() {
            error!("a proxy worker has ended: restart the process");
            return Sockets::Complete;
        }
        self.metrics.retain(&in_force.program.listeners);
        let explainer = Explainer::new(snapshot, Arc::clone(&in_force.program));
        self.explainers.send_replace(Some(explainer));
        let sockets = if plan.failures.is_empty() {
            Sockets::Complete
        } else {
            Sockets::Missing
        };
        let mut failures = plan.failures;
        failures.extend(in_force.failures.iter().cloned());
        failures.sort_unstable();
        self.reports.send_replace(GateReport {
            programmed: Some(in_force.program.generation),
            off: None,
            failures,
            elsewhere: Vec::new(),
        });
        self.compiler.list_endpoints(&in_force.program);
        let older = in_force.retired.len().saturating_sub(1);
        in_force.retired.drain(..older);
        sockets
    }

    fn open(&self, snapshot: &Snapshot, bound: &mut BTreeSet<SocketAddr>) -> SocketPlan {
        let mut plan = SocketPlan {
            opened: self.workers.iter().map(|_| Vec::new()).collect(),
            closed: Vec::new(),
            failures: Vec::new(),
        };
        match self.listen {
            Listen::Addresses => {}
            Listen::Transparent => return plan,
        }
        let mut wanted: BTreeMap<SocketAddr, &HttpPort> = BTreeMap::new();
        for port in &snapshot.http {
            let addresses = sockets::resolve(&port.addresses, port.port);
            wanted.extend(addresses.into_iter().map(|address| (address, port)));
        }
        let held = bound.clone();
        for (address, port) in &wanted {
            if held.contains(address) {
                continue;
            }
            let shared = bound.iter().any(|other| other.port() == address.port());
            let standing = if shared { Port::Ours } else { Port::New };
            match sockets::listen(*address, self.workers.len(), standing) {
                Ok(listeners) => {
                    bound.insert(*address);
                    for (per_worker, listener) in plan.opened.iter_mut().zip(listeners) {
                        per_worker.push((*address, listener));
                    }
                    info!(%address, "listening");
                }
                Err(error) if sockets::is_family_missing(*address, &error) => {}
                Err(error) => plan.fail(*address, port, &error),
            }
        }
        plan.closed = held
            .into_iter()
            .filter(|address| !wanted.contains_key(address))
            .collect();
        bound.retain(|address| wanted.contains_key(address));
        plan
    }
}

/// Whether all sockets could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sockets {
    Complete,
    Missing,
}

/// What changes in the sockets.
#[derive(Debug)]
struct SocketPlan {
    /// For each worker.
    opened: Vec<Vec<(SocketAddr, std::net::TcpListener)>>,
    closed: Vec<SocketAddr>,
    failures: Vec<ListenerFailure>,
}

impl SocketPlan {
    fn fail(&mut self, address: SocketAddr, port: &HttpPort, error: &io::Error) {
        let remedies = [
            (
                io::ErrorKind::AddrInUse,
                "stop the process that has the port, or use another port",
            ),
            (
                io::ErrorKind::PermissionDenied,
                "run with CAP_NET_BIND_SERVICE, or use a port from 1024",
            ),
            (
                io::ErrorKind::AddrNotAvailable,
                "give the address to an interface of this machine",
            ),
        ];
        let remedy = remedies.iter().find(|(kind, _)| *kind == error.kind());
        let what_to_do = remedy.map_or("see the error", |(_, what_to_do)| what_to_do);
        let (ip, number) = (address.ip(), address.port());
        let message = format!(
            "cannot listen on port {number} of address {ip} ({error}): {what_to_do}; it is tried again"
        );
        warn!(%address, %error, "cannot listen");
        self.failures
            .extend(port.listeners.iter().map(|listener| ListenerFailure {
                listener: listener.id.clone(),
                message: message.clone(),
            }));
    }
}

/// When sockets are tried again: after pauses that double.
#[derive(Debug, Default)]
struct Retry {
    at: Option<Instant>,
    pause: Option<Duration>,
}

impl Retry {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn schedule(&mut self, sockets: Sockets) {
        match sockets {
            Sockets::Complete => self.reset(),
            Sockets::Missing => {
                let doubled = self.pause.map(|pause| (pause * 2).min(RETRY_LAST));
                let pause = doubled.unwrap_or(RETRY_FIRST);
                self.pause = Some(pause);
                self.at = Some(Instant::now() + pause);
            }
        }
    }

    async fn due(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}
