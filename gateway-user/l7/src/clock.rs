//! A coarse clock: read in every request, advanced by the worker's sweep, so that no request needs a timer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds since the worker started, as of the last tick.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    now_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            now_ms: AtomicU64::new(0),
        }
    }

    /// Catches up with the real time.
    pub(crate) fn tick(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now_ms.store(elapsed, Ordering::Relaxed);
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// Whether at least `limit` has gone by since `since_ms`.
    pub(crate) fn is_past(&self, since_ms: u64, limit: Duration) -> bool {
        u128::from(self.now_ms().saturating_sub(since_ms)) >= limit.as_millis()
    }
}
