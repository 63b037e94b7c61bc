//! The lengths that a node lives by: how often it speaks, and how long it may answer for what it was granted.
//!
//! Every heartbeat says those of its sender, and a voter keeps its word for as long as the one who asked needs it. So
//! nodes may have different ones, as they do while a change of the settings spreads.

use std::time::Duration;

use gateway_ir::AnnounceSettings;

/// One node's lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Longer lengths that a node had. It tells them until what it was granted on them has run out: a voter that restarts
/// meanwhile has forgotten what it promised, and waits for as long as it hears that somebody may answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Former(Option<(Terms, Duration)>);

impl Former {
    /// Takes note of a change.
    pub(super) fn change(&mut self, now: Duration, before: Terms, after: Terms) {
        let longest = self.told(now, before);
        if after.lease < longest.lease {
            *self = Self(Some((longest, now + longest.grant())));
        }
    }

    /// What others have to know.
    pub(super) fn told(&self, now: Duration, terms: Terms) -> Terms {
        let former = self.0.filter(|(_, until)| *until > now);
        let longer = former.filter(|(former, _)| former.lease > terms.lease);
        longer.map_or(terms, |(former, _)| former)
    }
}
