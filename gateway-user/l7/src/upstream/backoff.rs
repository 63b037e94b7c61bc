//! The pauses between tries.

use std::time::Duration;

use crate::random::Random;

/// The first pause where the route names none.
const DEFAULT: Duration = Duration::from_millis(25);
/// Pauses stop growing here, or at the route's own if that is longer.
const GROWN_MAX: Duration = Duration::from_secs(1);

/// Pauses that double, each up to half longer at random so that clients do not come back in step.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn new(base: Option<Duration>) -> Self {
        let next = base.unwrap_or(DEFAULT);
        Self {
            next,
            max: GROWN_MAX.max(next),
        }
    }

    pub(super) fn pause(&mut self, random: &Random) -> Duration {
        let least = self.next;
        self.next = least.saturating_mul(2).min(self.max);
        let spread = u64::try_from(least.as_micros() / 2).unwrap_or(u64::MAX);
        least + Duration::from_micros(random.below(spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_the_base_to_the_limit_and_are_never_shorter() {
        let random = Random::new(1);
        let mut backoff = Backoff::new(Some(Duration::from_millis(400)));
        for least in [400, 800, 1_000, 1_000] {
            let pause = backoff.pause(&random).as_millis();
            assert!((least..=least * 3 / 2).contains(&pause), "{pause}");
        }
        let mut long = Backoff::new(Some(Duration::from_secs(5)));
        assert!(long.pause(&random) >= Duration::from_secs(5));
        assert!(long.pause(&random) >= Duration::from_secs(5));
    }
}
