//! The public handle of the proxy: starts the workers, hands them snapshots, ends them.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gateway_ir::{GateReport, Snapshot};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use prometheus_client::registry::Registry;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, error, warn};

use crate::coordinator::Coordinator;
use crate::explain::Explainer;
use crate::metrics::{Metrics, MetricsCollector};
use crate::program::Compiler;
use crate::sockets::{self, Listen, listen_transparent};
use crate::worker_thread::{self, Command, tell};

/// How the proxy runs; what it serves comes with the snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Threads that serve, each with its own runtime and connections.
    pub workers: NonZeroUsize,
    /// Where connections come from.
    pub listen: Listen,
}

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A thread or its runtime.
    #[error("cannot start the proxy thread {name}")]
    Thread {
        /// The thread's name.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A socket that gate 2 feeds.
    #[error("cannot open a transparent socket (it needs CAP_NET_ADMIN; ordinary sockets do not)")]
    Transparent(#[source] io::Error),
    /// The TLS library.
    #[error("cannot set up TLS session tickets")]
    Tls(#[source] rustls::Error),
}

/// The running proxy. Dropped without [`Proxy::drain`], it breaks off the requests in flight.
#[derive(Debug)]
pub struct Proxy {
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    reports: watch::Receiver<GateReport>,
    explainers: watch::Receiver<Option<Explainer>>,
    /// Kept open for [`Proxy::sockets`]; the workers have duplicates.
    transparent: Vec<Vec<TcpListener>>,
    workers: Vec<mpsc::Sender<Command>>,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Proxy {
    /// Starts the workers and registers the metrics; nothing is served before the first snapshot.
    ///
    /// # Errors
    /// When a thread cannot start, or a transparent socket cannot be opened.
    pub fn start(settings: Settings, registry: &mut Registry) -> Result<Self, StartError> {
        let compiler = Compiler::new().map_err(StartError::Tls)?;
        let count = settings.workers.get();
        let metrics = Arc::new(Metrics::new(count));
        let transparent = match settings.listen {
            Listen::Addresses => Vec::new(),
            Listen::Transparent => (0..count)
                .map(|_| listen_transparent())
                .collect::<Result<_, _>>()
                .map_err(StartError::Transparent)?,
        };
        let mut threads = Vec::new();
        let mut workers = Vec::new();
        for index in 0..count {
            let sockets = transparent.get(index).into_iter().flatten();
            let sockets = sockets
                .map(TcpListener::try_clone)
                .collect::<Result<_, _>>();
            let sockets = sockets.map_err(StartError::Transparent)?;
            let (sender, thread) = start_worker(index, &metrics, sockets)?;
            workers.push(sender);
            threads.push(thread);
        }
        let (snapshots, published) = watch::channel(None);
        let (reporter, reports) = watch::channel(GateReport::default());
        let (explains, explainers) = watch::channel(None);
        let coordinator = Coordinator {
            listen: settings.listen,
            workers: workers.clone(),
            metrics: Arc::clone(&metrics),
            snapshots: published,
            reports: reporter,
            explainers: explains,
            compiler,
        };
        let (stop, ended) = start_coordinator(coordinator, threads)?;
        registry.register_collector(Box::new(MetricsCollector(metrics)));
        Ok(Self {
            snapshots,
            reports,
            explainers,
            transparent,
            workers,
            stop,
            ended,
        })
    }

    /// The transparent sockets of both families in worker order; none with [`Listen::Addresses`].
    pub fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        self.transparent.iter().flatten().map(AsFd::as_fd).collect()
    }

    /// Makes a snapshot the one that is served. Returns at once; [`Self::reports`] says when it is in force. Of
    /// snapshots that follow each other faster than they can be put into force, only the last one is.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.snapshots.send_replace(Some(snapshot));
    }

    /// What is in force and what is not.
    pub fn reports(&self) -> watch::Receiver<GateReport> {
        self.reports.clone()
    }

    /// What explains requests by the snapshot that is in force; none before the first is.
    pub fn explainers(&self) -> watch::Receiver<Option<Explainer>> {
        self.explainers.clone()
    }

    /// From now on each connection ends with its next answer: HTTP/1.1 is told with it, HTTP/2 at once, and an idle one is
    /// closed after a second. New ones are still taken, for one answer each, by whatever snapshot is published. Returns
    /// when the connections that were open have ended, or the time is over.
    pub fn wind_down(&self, within: Duration) -> impl Future<Output = ()> + use<> {
        let workers = self.workers.clone();
        async move {
            let told = tell(&workers, |done| Command::WindDown { within, done }).await;
            debug!(workers = told, "proxy wound down");
        }
    }

    /// Takes no connection any more, without refusing one: clients ask again, by then another owner of the address. Returns
    /// when the last ones that were let in are answered, within less than a second. To be called after [`Self::wind_down`]
    /// where other nodes can take the address over; ordinary sockets are not touched.
    pub fn turn_away(&self) -> impl Future<Output = ()> + use<> {
        for listener in self.transparent.iter().flatten() {
            if let Err(error) = sockets::turn_away(listener) {
                warn!(%error, "new connections are taken until the end, and then break off");
            }
        }
        let workers = self.workers.clone();
        async move {
            let told = tell(&workers, |done| Command::Settle { done }).await;
            debug!(workers = told, "proxy takes no connection any more");
        }
    }

    /// Serves as before, after [`Self::wind_down`] and [`Self::turn_away`]: addresses may come back to this node.
    pub fn resume(&self) -> impl Future<Output = ()> + use<> {
        for listener in self.transparent.iter().flatten() {
            if let Err(error) = sockets::let_in(listener) {
                warn!(%error, "new connections are not taken");
            }
        }
        let workers = self.workers.clone();
        async move {
            let told = tell(&workers, |done| Command::Resume { done }).await;
            debug!(workers = told, "proxy serves as before");
        }
    }

    /// Stops accepting, lets the requests in flight finish within `ProxySettings::drain_timeout`, of which
    /// [`Self::wind_down`] has used its part, and ends the workers.
    pub async fn drain(self) {
        if self.stop.send(()).is_err() || self.ended.await.is_err() {
            error!("the proxy ended before it was drained");
        }
    }
}

type Thread = JoinHandle<()>;

fn start_worker(
    index: usize,
    metrics: &Arc<Metrics>,
    sockets: Vec<TcpListener>,
) -> Result<(mpsc::Sender<Command>, Thread), StartError> {
    // One command at a time is under way: the coordinator waits for its answer.
    let (sender, commands) = mpsc::channel(1);
    let metrics = Arc::clone(metrics);
    let thread = spawn(format!("sanmon-proxy-{index}"), move |runtime| {
        pin(index);
        runtime.block_on(worker_thread::run(index, metrics, sockets, commands));
    })?;
    Ok((sender, thread))
}

fn start_coordinator(
    coordinator: Coordinator,
    workers: Vec<Thread>,
) -> Result<(oneshot::Sender<()>, oneshot::Receiver<()>), StartError> {
    let (stop, stopped) = oneshot::channel();
    let (done, ended) = oneshot::channel();
    spawn("sanmon-proxy".to_owned(), move |runtime| {
        runtime.block_on(coordinator.run(stopped));
        for worker in workers {
            if worker.join().is_err() {
                error!("a proxy worker ended by a defect");
            }
        }
        // Nobody waits when the handle was dropped.
        done.send(()).unwrap_or_default();
    })?;
    Ok((stop, ended))
}

/// Starts a thread with a runtime of its own.
fn spawn(
    name: String,
    body: impl FnOnce(LocalRuntime) + Send + 'static,
) -> Result<Thread, StartError> {
    let failed = |source| StartError::Thread {
        name: name.clone(),
        source,
    };
    let (report, started) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            // A local runtime cannot be moved to its thread, so it is made there.
            match Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
            {
                Ok(runtime) => {
                    drop(report);
                    body(runtime);
                }
                Err(error) => report.send(error).unwrap_or_default(),
            }
        })
        .map_err(failed)?;
    match started.recv() {
        Ok(error) => Err(failed(error)),
        Err(_no_error) => Ok(thread),
    }
}

/// Ties the calling worker to a CPU of those that the process may use; without the right to, it just stays free.
fn pin(index: usize) {
    let this_thread = Pid::from_raw(0);
    let pinned = sched_getaffinity(this_thread).and_then(|inherited| {
        let allowed: Vec<usize> = (0..CpuSet::count())
            .filter(|cpu| inherited.is_set(*cpu).unwrap_or(false))
            .collect();
        let Some(cpu) = allowed.get(index % allowed.len().max(1)) else {
            return Ok(());
        };
        if allowed.len() < 2 {
            return Ok(());
        }
        let mut one = CpuSet::new();
        one.set(*cpu)?;
        sched_setaffinity(this_thread, &one)
    });
    if let Err(error) = pinned {
        debug!(%error, index, "a proxy worker is not pinned");
    }
}
