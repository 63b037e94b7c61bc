//! When an object is written: pure. The first change at once, a burst of changes in few complete writes.

use std::time::Duration;

/// A burst is over when nothing has changed for this long.
const QUIET: Duration = Duration::from_millis(45);
/// A burst that does not end is written this often.
const BURST: Duration = Duration::from_secs(2);
/// The same where only numbers change.
const BURST_OF_NUMBERS: Duration = Duration::from_secs(4);
/// Writes of mere numbers that may follow each other shortly; one more becomes possible every [`BURST_OF_NUMBERS`].
const NUMBERS_MAX: u32 = 6;
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

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// What somebody may wait for: it is written soon.
    Words,
    /// How many routes are attached and the like: a thousand routes are not a thousand writes.
    Numbers,
}

/// The writes of one status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// When what is wanted changed last.
    changed: Duration,
    /// Whether nothing but numbers waits to be written.
    numbers: bool,
    written: Option<Duration>,
    /// When the writes of numbers that count against [`NUMBERS_MAX`] are all forgiven.
    paid_by: Duration,
    pauses: Pauses,
}

impl Pace {
    /// Something else is wanted now.
    pub(crate) fn change(&mut self, now: Duration, change: Change) {
        self.numbers = change == Change::Numbers && (self.numbers || self.changed <= self.last());
        self.changed = now;
    }

    /// It has been written.
    pub(crate) fn written(&mut self, now: Duration) {
        let paid_by = if self.numbers {
            self.paid_by.max(now) + BURST_OF_NUMBERS
        } else {
            self.paid_by
        };
        *self = Self {
            changed: self.changed,
            written: Some(now),
            paid_by,
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
            Some(written) if self.numbers => {
                let due = (self.changed + QUIET).min(written + BURST_OF_NUMBERS);
                due.max(self.paid_by.saturating_sub(BURST_OF_NUMBERS * NUMBERS_MAX))
            }
            Some(written) if now < written + BURST => (self.changed + QUIET).min(written + BURST),
            Some(_) | None => now,
        };
        due.max(self.pauses.until())
    }

    fn last(&self) -> Duration {
        self.written.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_written_at_once() {
        let mut pace = Pace::default();
        pace.change(ms(100), Change::Words);
        assert_eq!(pace.due(ms(100)), ms(100));
    }

    #[test]
    fn a_thousand_changes_of_a_number_are_few_writes_whatever_their_speed_and_the_last_is_soon() {
        // As fast as an API server takes them, in spurts with pauses, and slowly.
        for (gap, spurt, writes_max, lag_max) in [
            (10, 1_000, 4, 50),
            (20, 250, 12, 50),
            (40, 1_000, 12, 50),
            (100, 1, 34, 4_000),
        ] {
            let (mut pace, mut writes, mut pending) = (Pace::default(), 0, false);
            let (mut last_change, mut last_write, mut changes) = (0, 0, 0);
            let mut next = 0;
            for tick in 0..130_000 {
                if tick == next && changes < 1_000 {
                    let change = if changes == 0 {
                        Change::Words
                    } else {
                        Change::Numbers
                    };
                    pace.change(ms(tick), change);
                    (last_change, pending, changes) = (tick, true, changes + 1);
                    next = tick
                        + if changes % spurt == 0 {
                            gap.max(90)
                        } else {
                            gap
                        };
                }
                if pending && pace.due(ms(tick)) <= ms(tick) {
                    pace.written(ms(tick));
                    (last_write, pending, writes) = (tick, false, writes + 1);
                }
            }
            assert!(writes <= writes_max, "{gap} ms: {writes} writes");
            assert!(
                !pending && last_write - last_change <= lag_max,
                "{gap} ms: {last_write}"
            );
        }
    }

    #[test]
    fn words_do_not_wait_for_numbers() {
        let mut pace = Pace::default();
        pace.change(ms(0), Change::Words);
        pace.written(ms(0));
        for tick in 1..200 {
            pace.change(ms(10 * tick), Change::Numbers);
        }
        assert_eq!(pace.due(ms(1_990)), ms(2_035));
        pace.change(ms(2_000), Change::Words);
        // Numbers that change after that do not make it a change of numbers.
        pace.change(ms(2_001), Change::Numbers);
        assert_eq!(pace.due(ms(2_001)), ms(2_001));
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
