//! Distributions in words.

use std::fmt;
use std::time::Duration;

/// Times, as mean, median and ends in milliseconds.
pub(crate) struct Figures(Vec<Duration>);

impl Figures {
    /// Takes times in any order.
    pub(crate) fn new(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort();
        Self(times)
    }

    fn at(&self, percent: usize) -> f64 {
        let index = self.0.len().saturating_sub(1) * percent / 100;
        self.0.get(index).map_or(0.0, milliseconds)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum: Duration = self.0.iter().sum();
        let mean = milliseconds(&sum) / self.0.len().max(1) as f64;
        let [median, late, last] = [50, 99, 100].map(|it| self.at(it));
        write!(
            f,
            "mean {mean:.2}, median {median:.2}, p99 {late:.2}, max {last:.2}"
        )
    }
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
