//! What a bad stretch of network does to frames, each by its own chance.

use std::time::Duration;

/// A combination of troubles, made of pieces: `Impairment::NONE.delay(…).reorder(…)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairment {
    pub(crate) delay: Duration,
    pub(crate) spread: Duration,
    pub(crate) duplicated_percent: u8,
    pub(crate) lost_percent: u8,
}

impl Impairment {
    /// Every frame passes at once, in order.
    pub const NONE: Self = Self {
        delay: Duration::ZERO,
        spread: Duration::ZERO,
        duplicated_percent: 0,
        lost_percent: 0,
    };

    /// Every frame comes so much later.
    #[must_use]
    pub const fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Each frame comes later by up to so much more: frames overtake each other.
    #[must_use]
    pub const fn reorder(self, spread: Duration) -> Self {
        Self { spread, ..self }
    }

    /// So many of hundred frames come twice; the copy is delayed by itself.
    #[must_use]
    pub const fn duplicate(self, percent: u8) -> Self {
        let duplicated_percent = percent;
        Self {
            duplicated_percent,
            ..self
        }
    }

    /// So many of hundred frames do not come.
    #[must_use]
    pub const fn lose(self, percent: u8) -> Self {
        let lost_percent = percent;
        Self {
            lost_percent,
            ..self
        }
    }
}
