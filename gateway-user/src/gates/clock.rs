//! The kernel's clocks.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The kernel's monotonic clock, which the deadlines in its maps are in.
pub(super) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .unwrap_or_default()
}

/// The time of day, which differs from life to life of a machine, as the monotonic clock does not.
pub(super) fn time_of_day() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME)
        .map(Duration::from)
        .unwrap_or_default()
}
