//! When the neighbours are told about an address: often right after it was won, then rarely for good.

use std::time::Duration;

/// Distances from the moment when an address was won. A single frame may be lost, and a switch port that has just come
/// up drops the first ones.
const BURST: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The times at which one address is told on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    started: Duration,
    /// How many of [`BURST`] are done.
    told: usize,
    next: Duration,
    /// Distance of the calls that follow the burst.
    refresh: Duration,
}

impl Schedule {
    /// Begins with a call at once.
    pub(crate) fn start(now: Duration, refresh: Duration) -> Self {
        Self {
            started: now,
            told: 0,
            next: now,
            refresh,
        }
    }

    /// Changes the distance of the calls after the burst.
    pub(crate) fn set_refresh(&mut self, refresh: Duration) {
        if self.told == BURST.len() {
            let last = self.next.saturating_sub(self.refresh);
            self.next = last.saturating_add(refresh);
        }
        self.refresh = refresh;
    }

    /// The next call.
    pub(crate) fn next(self) -> Duration {
        self.next
    }

    /// Tells whether a call is due, and plans the one after it. Calls that were missed are not made up for.
    pub(crate) fn is_due(&mut self, now: Duration) -> bool {
        if now < self.next {
            return false;
        }
        let passed = now.saturating_sub(self.started);
        self.told = BURST.iter().filter(|distance| **distance <= passed).count();
        self.next = match BURST.get(self.told) {
            Some(distance) => self.started.saturating_add(*distance),
            None => now.saturating_add(self.refresh),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn tells_five_times_and_then_at_every_refresh() {
        let mut schedule = Schedule::start(at(7000), at(60_000));
        let mut told = Vec::new();
        while told.len() < 7 {
            let now = schedule.next();
            assert!(schedule.is_due(now));
            told.push(now);
        }
        let expected = [7000, 7100, 8000, 9000, 11_000, 71_000, 131_000].map(at);
        assert_eq!(told, expected);
    }

    #[test]
    fn other_distance_counts_from_the_last_call() {
        let mut schedule = Schedule::start(at(0), at(60_000));
        assert!(schedule.is_due(at(4000)));
        schedule.set_refresh(at(10_000));
        assert_eq!(schedule.next(), at(14_000));
    }

    #[test]
    fn does_not_make_up_for_missed_calls() {
        let mut schedule = Schedule::start(at(0), at(60_000));
        assert!(schedule.is_due(at(3500)));
        assert!(!schedule.is_due(at(3500)));
        assert_eq!(schedule.next(), at(4000));
    }
}
