//! A worker: one thread with its own runtime, listeners, client connections, endpoints and counters.

mod accept;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep;

use crate::clock::{Clock, Ticker};
use crate::metrics::{ListenerCells, Metrics, WorkerCells};
use crate::program::Program;
use crate::random::Random;
use crate::tracker::{Signal, Tracker};
use crate::upstream::Endpoints;

use accept::Acceptor;

/// How often deadlines are looked at: a part of the shortest one, within these bounds.
const SWEEP_MIN: Duration = Duration::from_millis(10);
const SWEEP_MAX: Duration = Duration::from_secs(1);
const SWEEPS_PER_DEADLINE: u32 = 4;

/// What the coordinator tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve another program.
    Apply {
        program: Arc<Program>,
        /// Sockets to accept on from now on, by the address that they are bound to.
        opened: Vec<(SocketAddr, std::net::TcpListener)>,
        /// Addresses to accept on no longer.
        closed: Vec<SocketAddr>,
        done: oneshot::Sender<()>,
    },
    /// Accept nothing more, finish what is in flight, end.
    Drain {
        timeout: Duration,
        done: oneshot::Sender<()>,
    },
}

/// A program with this worker's counters for its listeners.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) program: Arc<Program>,
    /// By `Listener::index`.
    pub(crate) cells: Vec<Arc<ListenerCells>>,
}

/// The worker's things; shared by the tasks of its thread only.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    metrics: Arc<Metrics>,
    pub(crate) cells: Arc<WorkerCells>,
    pub(crate) random: Random,
    pub(crate) endpoints: Endpoints,
    clock: Arc<Clock>,
    /// Behind `Rc`, so that a request takes the program without touching a counter that workers share.
    state: RefCell<Rc<State>>,
    connections: RefCell<HashMap<u64, Tracked>>,
    next_connection: Cell<u64>,
    connection_ended: Notify,
}

/// An open connection in the worker's list.
#[derive(Debug)]
struct Tracked {
    local: SocketAddr,
    tracker: Arc<Tracker>,
}

/// Runs a worker until it is drained or its coordinator is gone.
pub(crate) async fn run(
    index: usize,
    metrics: Arc<Metrics>,
    transparent: Option<std::net::TcpListener>,
    mut commands: mpsc::Receiver<Command>,
) {
    let worker = Rc::new(Worker::new(index, metrics));
    let mut acceptors: BTreeMap<SocketAddr, Acceptor> = BTreeMap::new();
    let fed = transparent.map(|listener| worker.accept_on(listener));
    tokio::task::spawn_local(sweep(Rc::clone(&worker)));
    while let Some(command) = commands.recv().await {
        match command {
            Command::Apply {
                program,
                opened,
                closed,
                done,
            } => {
                worker.apply(program);
                for (address, listener) in opened {
                    acceptors.insert(address, worker.accept_on(listener));
                }
                for address in closed {
                    if let Some(acceptor) = acceptors.remove(&address) {
                        acceptor.close().await;
                    }
                }
                worker.drain_connections(Scope::Unserved);
                answer(done);
            }
            Command::Drain { timeout, done } => {
                for acceptor in std::mem::take(&mut acceptors).into_values() {
                    acceptor.close().await;
                }
                if let Some(acceptor) = fed {
                    acceptor.close().await;
                }
                worker.drain(timeout).await;
                answer(done);
                return;
            }
        }
    }
}

/// The coordinator stops listening only when it ends, and then needs no answer.
fn answer(done: oneshot::Sender<()>) {
    if done.send(()).is_err() {
        tracing::debug!("the coordinator ended before its worker");
    }
}

/// Which connections are told to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Those whose port is not served any more.
    Unserved,
    All,
}

impl Worker {
    fn new(index: usize, metrics: Arc<Metrics>) -> Self {
        let clock = Arc::new(Clock::default());
        Self {
            index,
            cells: metrics.worker(index),
            metrics,
            random: Random::from_system(),
            endpoints: Endpoints::new(Arc::clone(&clock)),
            clock,
            state: RefCell::new(Rc::new(State {
                program: Arc::default(),
                cells: Vec::new(),
            })),
            connections: RefCell::default(),
            next_connection: Cell::new(0),
            connection_ended: Notify::new(),
        }
    }

    /// What is served now. A request keeps it, so that it sees one program from its start to its end.
    pub(crate) fn state(&self) -> Rc<State> {
        Rc::clone(&self.state.borrow())
    }

    fn apply(&self, program: Arc<Program>) {
        let cells = self.metrics.listeners(&program.listeners, self.index);
        self.endpoints.retain(&program.endpoints);
        self.state.replace(Rc::new(State { program, cells }));
    }

    fn accept_on(self: &Rc<Self>, listener: std::net::TcpListener) -> Acceptor {
        // Bound and made non-blocking by the coordinator; only the registration with the reactor is left.
        let listener = TcpListener::from_std(listener)
            .expect("a worker runs inside a runtime with IO enabled");
        Acceptor::start(Rc::clone(self), listener)
    }

    fn drain_connections(&self, scope: Scope) {
        let state = self.state();
        self.connections.borrow().values().for_each(|open| {
            if scope == Scope::All || state.program.port(open.local).is_none() {
                open.tracker.signal(Signal::Drain);
            }
        });
    }

    async fn drain(&self, timeout: Duration) {
        self.drain_connections(Scope::All);
        let all_ended = async {
            while !self.connections.borrow().is_empty() {
                self.connection_ended.notified().await;
            }
        };
        if tokio::time::timeout(timeout, all_ended).await.is_err() {
            let left = self.connections.borrow().len();
            tracing::warn!(left, "requests did not end within the drain timeout");
        }
    }
}

/// Enforces deadlines. Sleeps between rounds, so that no request arms a timer.
async fn sweep(worker: Rc<Worker>) {
    let ticker = Ticker::new();
    loop {
        let state = worker.state();
        let settings = &state.program.settings;
        let shortest = settings
            .tls_handshake_timeout
            .min(settings.header_timeout)
            .min(settings.idle_timeout)
            .min(settings.upstream_idle_timeout);
        let interval = (shortest / SWEEPS_PER_DEADLINE).clamp(SWEEP_MIN, SWEEP_MAX);
        ticker.tick(&worker.clock, interval);
        worker.connections.borrow().values().for_each(|open| {
            if open.tracker.is_expired(settings) {
                worker.cells.connections_timed_out.increment();
                open.tracker.signal(Signal::Kill);
            }
        });
        worker.endpoints.retain(&state.program.endpoints);
        worker.endpoints.sweep(settings.upstream_idle_timeout);
        drop(state);
        sleep(interval).await;
    }
}
