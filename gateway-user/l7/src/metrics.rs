//! Every instrument of the proxy: cells that one worker writes without contention, summed when they are read.

mod collector;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_ir::ListenerId;
use http::{Method, StatusCode};
use parking_lot::Mutex;

pub(crate) use collector::MetricsCollector;

/// A counter with a single writer.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn add(&self, amount: u64) {
        // Only the worker that owns the cell writes it, so no read-modify-write instruction is needed.
        let value = self.0.load(Ordering::Relaxed);
        self.0.store(value.wrapping_add(amount), Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The methods that have a label of their own; any other is `other`.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "other",
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Upper bounds of the duration histogram, in microseconds.
const BOUNDS_US: [u64; 12] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000, 10_000_000,
];

/// What one worker counts of one listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerCells {
    requests: [[Cell; CLASSES.len()]; METHODS.len()],
    durations: [Cell; BOUNDS_US.len() + 1],
    duration_sum_us: Cell,
}

impl ListenerCells {
    /// Counts a finished request.
    pub(crate) fn record(&self, method: MethodLabel, status: StatusCode, duration: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(cell) = self.requests.get(method.0).and_then(|row| row.get(class)) {
            cell.increment();
        }
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        if let Some(cell) = self.durations.get(bucket) {
            cell.increment();
        }
        self.duration_sum_us.add(micros);
    }
}

/// A method as a label: a bounded set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MethodLabel(usize);

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        let known = METHODS.iter().position(|label| *label == method.as_str());
        Self(known.unwrap_or(METHODS.len() - 1))
    }
}

/// What one worker counts besides.
#[derive(Debug, Default)]
pub(crate) struct WorkerCells {
    pub(crate) connections_opened: Cell,
    pub(crate) connections_closed: Cell,
    /// Above the limit.
    pub(crate) connections_refused: Cell,
    /// Past the deadline of handshake, head or idleness.
    pub(crate) connections_timed_out: Cell,
    pub(crate) handshakes_failed: Cell,
    /// Malformed, or not there in time.
    pub(crate) proxy_headers_refused: Cell,
    pub(crate) panics: Cell,
    /// Above the limit.
    pub(crate) mirrors_dropped: Cell,
    pub(crate) authorizations_denied: Cell,
    /// No answer, or none that can be understood.
    pub(crate) authorizations_failed: Cell,
    pub(crate) upstream_opened: Cell,
    pub(crate) upstream_retries: Cell,
    pub(crate) upstream_connect_failures: Cell,
    pub(crate) upstream_connect_timeouts: Cell,
    pub(crate) upstream_protocol_errors: Cell,
    /// Requests that no listener could be found for.
    pub(crate) requests_unrouted: Cell,
}

/// All instruments.
#[derive(Debug)]
pub(crate) struct Metrics {
    workers: Vec<Arc<WorkerCells>>,
    /// The cells of each worker, in worker order.
    listeners: Mutex<BTreeMap<ListenerId, Vec<Arc<ListenerCells>>>>,
}

impl Metrics {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            listeners: Mutex::default(),
        }
    }

    /// The cells of a worker.
    pub(crate) fn worker(&self, index: usize) -> Arc<WorkerCells> {
        self.workers.get(index).map(Arc::clone).unwrap_or_default()
    }

    /// The cells of a worker for these listeners, in their order; counts go on where they were.
    pub(crate) fn listeners(&self, ids: &[ListenerId], worker: usize) -> Vec<Arc<ListenerCells>> {
        let mut listeners = self.listeners.lock();
        ids.iter()
            .map(|id| {
                let cells = listeners
                    .entry(id.clone())
                    .or_insert_with(|| self.workers.iter().map(|_| Arc::default()).collect());
                cells.get(worker).map(Arc::clone).unwrap_or_default()
            })
            .collect()
    }

    /// Forgets the listeners that are no longer configured.
    pub(crate) fn retain(&self, ids: &[ListenerId]) {
        let mut sorted: Vec<&ListenerId> = ids.iter().collect();
        sorted.sort_unstable();
        self.listeners
            .lock()
            .retain(|id, _| sorted.binary_search(&id).is_ok());
    }
}
