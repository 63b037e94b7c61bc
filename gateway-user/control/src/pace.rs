//! When an object is written: pure. The first change at once, a burst of changes in few complete writes.

use std::time::Duration;

/// A burst is over when nothing has changed for this long.
const QUIET: Duration = Duration::from_millis(75);
/// A burst that does not end is written this often.
const BURST: Duration = Duration::from_secs(2);
/// The first pause after a failed write; it doubles.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause after failed writes.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The pauses after attempts at one object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses {
    failures: u32,
    /// Not to be tried before.
    until: Duration,
}

impl Pauses {
    /// It worked; the next attempt, should one be needed, is not at once either.
    pub(crate) fn succeeded(&mut self, now: Duration) {
        *self = Self {
            failures: 0,
            until: now + RETRY_MIN,
        };
    }

    /// It did not work.
    pub(crate) fn failed(&mut self, now: Duration) {
        let pause = RETRY_MIN * 2_u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        self.until = now + pause.min(RETRY_MAX);
    }

    /// When it may be tried.
    pub(crate) fn until(&self) -> Duration {
        self.until
    }
}

/// The writes of one status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// When what is wanted changed last.
    changed: Duration,
    written: Option<Duration>,
    pauses: Pauses,
}

impl Pace {
    /// Something else is wanted now.
    pub(crate) fn change(&mut self, now: Duration) {
        self.changed = now;
    }

    /// It has been written.
    pub(crate) fn written(&mut self, now: Duration) {
        *self = Self {
            written: Some(now),
            ..Self::default()
        };
    }

    /// It could not be written.
    pub(crate) fn failed(&mut self, now: Duration) {
        self.pauses.failed(now);
    }

    /// When it is to be written.
    pub(crate) fn due(&self, now: Duration) -> Duration {
        let due = match self.written {
            Some(written) if now < written + BURST => (self.changed + QUIET).min(written + BURST),
            Some(_) | None => now,
        };
        due.max(self.pauses.until())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_written_at_once() {
        let mut pace = Pace::default();
        pace.change(ms(100));
        assert_eq!(pace.due(ms(100)), ms(100));
    }

    #[test]
    fn a_thousand_changes_in_ten_seconds_are_few_writes_and_the_last_is_soon() {
        let (mut pace, mut writes) = (Pace::default(), 0);
        let mut last_write = Duration::ZERO;
        for tick in 0..11_000 {
            let now = ms(tick);
            if tick % 10 == 0 && tick < 10_000 {
                pace.change(now);
            }
            let pending = last_write < pace.changed || tick == 0;
            if pending && pace.due(now) <= now {
                pace.written(now);
                (writes, last_write) = (writes + 1, now);
            }
        }
        assert!(writes <= 12, "{writes}");
        assert!(
            last_write >= ms(9_990) && last_write <= ms(10_100),
            "{last_write:?}"
        );
    }

    #[test]
    fn what_fails_is_tried_ever_more_slowly() {
        let mut pace = Pace::default();
        pace.failed(ms(0));
        assert_eq!(pace.due(ms(1)), ms(500));
        pace.failed(ms(500));
        assert_eq!(pace.due(ms(501)), ms(1_500));
        (0..20).for_each(|_| pace.failed(ms(2_000)));
        assert_eq!(pace.due(ms(2_001)), ms(32_000));
        pace.written(ms(40_000));
        assert_eq!(pace.due(ms(90_000)), ms(90_000));
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }
}
