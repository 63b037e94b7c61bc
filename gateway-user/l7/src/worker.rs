//! What the tasks of one worker share: its program, connections, endpoints and counters.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::ProxySettings;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::clock::Clock;
use crate::metrics::{ListenerCells, Metrics, WorkerCells};
use crate::program::Program;
use crate::random::Random;
use crate::tracker::{Signal, Tracker};
use crate::upstream::Endpoints;

/// How long a connection may be idle before it is closed when the process is to end: who has more to ask asks within that
/// time, and learns from the answer that it was the last.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// How long the requests of the last connections may take. The clients that were not let in ask again a second after
/// their first attempt, and should find the next owner of the address then.
const SETTLE_MAX: Duration = Duration::from_millis(700);
/// A part of it, which passes in any case: connections that are being made are not seen before their client has spoken a
/// second time, on a line of at most this round-trip time.
const FIRST_WORD_MAX: Duration = Duration::from_millis(250);
/// How long the closing of connections may take that have nothing to say any more.
const FAREWELL_MAX: Duration = Duration::from_millis(50);

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
    /// When the last connection has to be gone; none: they may stay.
    end: Cell<Option<Instant>>,
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
            end: Cell::new(None),
        }
    }

    /// What is served now. A request keeps it, so that it sees one program from its start to its end.
    pub(crate) fn state(&self) -> Rc<State> {
        Rc::clone(&self.state.borrow())
    }

    pub(crate) fn apply(&self, program: Arc<Program>) {
        let cells = self.metrics.listeners(&program.listeners, self.index);
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

    /// What a connection is asked to do that is made now.
    pub(crate) fn greeting(&self) -> Signal {
        match self.end.get() {
            Some(_) => Signal::Finish,
            None => Signal::Run,
        }
    }

    /// From now on each connection ends with an answer. Waits for those that are open now; the idle ones among them are
    /// closed after a while.
    pub(crate) async fn wind_down(&self, within: Duration) {
        let now = Instant::now();
        let end = now + within;
        self.end.set(Some(end));
        let newer = self.next_connection.get();
        let tell = |signal| {
            let connections = self.connections.borrow();
            let old = connections.iter().filter(|(key, _)| **key < newer);
            old.for_each(|(_, open)| open.tracker.signal(signal));
        };
        let all_ended = || self.connections.borrow().keys().all(|key| *key >= newer);
        tell(Signal::Finish);
        let idle_end = end.min(now + IDLE_MAX);
        if timeout_at(idle_end, self.wait_until(all_ended))
            .await
            .is_err()
        {
            tell(Signal::Drain);
            let _late = timeout_at(end, self.wait_until(all_ended)).await;
        }
    }

    /// Waits for the answers to the last clients that were let in, and closes the connections that wait for nothing.
    pub(crate) async fn settle(&self) {
        let end = Instant::now() + SETTLE_MAX;
        sleep(FIRST_WORD_MAX).await;
        let is_quiet = || {
            let connections = self.connections.borrow();
            !connections.values().any(|open| open.tracker.is_busy())
        };
        let _late = timeout_at(end, self.wait_until(is_quiet)).await;
        self.drain_connections(Scope::All);
        let all_ended = || self.connections.borrow().is_empty();
        let _late = timeout(FAREWELL_MAX, self.wait_until(all_ended)).await;
    }

    /// Nothing is about to end any more.
    pub(crate) fn resume(&self) {
        self.end.set(None);
    }

    /// Waits for all connections; the time that winding down took is part of theirs.
    pub(crate) async fn drain(&self, within: Duration) {
        self.drain_connections(Scope::All);
        let end = Instant::now() + within;
        let end = self.end.get().map_or(end, |it| it.min(end));
        let all_ended = || self.connections.borrow().is_empty();
        if timeout_at(end, self.wait_until(all_ended)).await.is_err() {
            let left = self.connections.borrow().len();
            tracing::warn!(left, "requests did not end within the drain timeout");
        }
    }

    /// Looks at the connections each time that one of them has ended.
    async fn wait_until(&self, holds: impl Fn() -> bool) {
        while !holds() {
            self.connection_ended.notified().await;
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
