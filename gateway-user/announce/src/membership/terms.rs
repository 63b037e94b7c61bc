//! The lengths that a node lives by: how often it speaks, and how long it may answer for what it was granted.
//!
//! Every heartbeat says those of its sender. A voter keeps its word for as long as the one who asked needs it, and nobody
//! counts on a voter for longer than the voter's own lease, which is what it waits for after a restart. So nodes may have
//! different lengths, as they do while a change of the settings spreads.

use std::time::Duration;

use gateway_ir::AnnounceSettings;
use serde::{Deserialize, Serialize};

/// One node's lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Distance of heartbeats.
    pub beat: Duration,
    /// How long it may answer, from the sending of what a majority granted.
    pub lease: Duration,
}

impl Terms {
    /// What the configuration says.
    pub(crate) fn of(settings: &AnnounceSettings) -> Self {
        Self {
            beat: settings.beat,
            lease: settings.beat.saturating_mul(settings.misses),
        }
    }

    /// How long a voter keeps its word to a node with these terms: two clocks may differ by 2 %, and a tenth of a beat
    /// or so is spent between a decision and the kernel's map.
    pub fn grant(&self) -> Duration {
        self.lease + self.lease / 50 + self.beat / 4
    }
}

impl Default for Terms {
    /// 100 ms and 300 ms.
    fn default() -> Self {
        Self {
            beat: Duration::from_millis(100),
            lease: Duration::from_millis(300),
        }
    }
}
