//! What the tasks of one worker share: its program, connections, endpoints and counters.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::ProxySettings;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::metrics::{ListenerCells, Metrics, WorkerCells};
use crate::program::Program;
use crate::random::Random;
use crate::tracker::{Signal, Tracker};
use crate::upstream::Endpoints;

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
    /// Copies for mirrors that are under way.
    pub(crate) copies: Cell<usize>,
    pub(crate) clock: Arc<Clock>,
    /// Behind `Rc`, so that a request takes the program without touching a counter that workers share.
    state: RefCell<Rc<State>>,
    pub(crate) connections: RefCell<HashMap<u64, OpenConnection>>,
    pub(crate) next_connection: Cell<u64>,
    pub(crate) connection_ended: Notify,
}

/// An open connection in the worker's list.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    pub(crate) local: SocketAddr,
    /// Those of its port when it was accepted.
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) tracker: Arc<Tracker>,
}

/// Which connections are told to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those whose port is not served any more.
    Unserved,
    All,
}

impl Worker {
    pub(crate) fn new(index: usize, metrics: Arc<Metrics>) -> Self {
        let clock = Arc::new(Clock::default());
        Self {
            index,
            cells: metrics.worker(index),
            metrics,
            random: Random::from_system(),
            endpoints: Endpoints::new(Arc::clone(&clock)),
            copies: Cell::new(0),
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

    pub(crate) fn apply(&self, program: Arc<Program>) {
        let cells = self.metrics.listeners(&program.listeners, self.index);
        self.endpoints.retain(&program.endpoints);
        self.state.replace(Rc::new(State { program, cells }));
    }

    pub(crate) fn drain_connections(&self, scope: Scope) {
        let state = self.state();
        self.connections.borrow().values().for_each(|open| {
            if scope == Scope::All || state.program.port(open.local).is_none() {
                open.tracker.signal(Signal::Drain);
            }
        });
    }

    pub(crate) async fn drain(&self, timeout: Duration) {
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

/// A connection's place in the worker's list, for as long as the connection lives.
#[derive(Debug)]
pub(crate) struct Slot {
    worker: Rc<Worker>,
    key: u64,
}

impl Slot {
    pub(crate) fn take(worker: &Rc<Worker>, open: OpenConnection) -> Self {
        let key = worker.next_connection.get();
        worker.next_connection.set(key + 1);
        worker.connections.borrow_mut().insert(key, open);
        Self {
            worker: Rc::clone(worker),
            key,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(&self.key);
        self.worker.cells.connections_closed.increment();
        self.worker.connection_ended.notify_one();
    }
}
