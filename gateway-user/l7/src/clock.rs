//! A coarse clock: read in every request, advanced by the worker's sweep, so that no request needs a timer.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds that the worker has been running, as of the last tick.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    now_ms: AtomicU64,
    /// Longest time between two ticks: how far a reading may be behind.
    step_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// Whether at least `limit` has gone by since the reading `since_ms`, however far that was behind.
    pub(crate) fn is_past(&self, since_ms: u64, limit: Duration) -> bool {
        let elapsed = self.now_ms().saturating_sub(since_ms);
        let behind = self.step_ms.load(Ordering::Relaxed);
        u128::from(elapsed.saturating_sub(behind)) >= limit.as_millis()
    }

    /// Goes on by the time since the last tick, at most a step: in the rest the worker did not run, nor did its clients.
    fn advance(&self, elapsed: Duration, step: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = self.now_ms().saturating_add(millis(elapsed.min(step)));
        self.now_ms.store(now, Ordering::Relaxed);
        self.step_ms.store(millis(step), Ordering::Relaxed);
    }
}

/// What advances a clock.
#[derive(Debug)]
pub(crate) struct Ticker(Cell<Instant>);

impl Ticker {
    pub(crate) fn new() -> Self {
        Self(Cell::new(Instant::now()))
    }

    /// Advances a clock that is ticked every `interval`.
    pub(crate) fn tick(&self, clock: &Clock, interval: Duration) {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.0.replace(now));
        // Twice the interval: a tick may be late without the worker having stood still.
        clock.advance(elapsed, interval * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(20);

    #[test]
    fn a_deadline_is_never_early_and_a_standstill_does_not_count() {
        let clock = Clock::default();
        let since = clock.now_ms();
        clock.advance(Duration::from_secs(60), STEP);
        assert!(!clock.is_past(since, Duration::from_millis(10)));

        clock.advance(Duration::from_millis(9), STEP);
        assert!(!clock.is_past(since, Duration::from_millis(10)));
        clock.advance(Duration::from_millis(1), STEP);
        assert!(clock.is_past(since, Duration::from_millis(10)));
    }
}
