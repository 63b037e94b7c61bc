//! What a client has heard that asked for the VIP all the time.

use std::time::Duration;

use anyhow::ensure;

use crate::netlink::Mac;

/// The answers to the questions of a while, in order.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, and from which Ethernet address.
    pub answers: Vec<(Duration, Mac)>,
    /// The longest time between two questions.
    pub(super) held_up: Duration,
    pub(super) since: Duration,
    pub(super) until: Duration,
}

impl Seen {
    /// Who has answered, one after the other.
    pub fn macs(&self) -> Vec<Mac> {
        let mut macs: Vec<Mac> = self.answers.iter().map(|it| it.1).collect();
        macs.dedup();
        macs
    }

    /// The longest time without an answer.
    pub fn worst_gap(&self) -> Duration {
        let times: Vec<Duration> = std::iter::once(self.since)
            .chain(self.answers.iter().map(|it| it.0))
            .chain([self.until])
            .collect();
        let gaps = times.iter().zip(times.iter().skip(1));
        let gaps = gaps.map(|(one, next)| next.saturating_sub(*one));
        gaps.max().unwrap_or_default()
    }

    /// The longest time for which the machine held up the client, and the nodes most likely with it.
    pub fn held_up(&self) -> Duration {
        self.held_up
    }

    /// How long two nodes have answered: from the first answer of another one to the last of the first.
    pub fn overlap(&self) -> Duration {
        let Some((_, first)) = self.answers.first() else {
            return Duration::ZERO;
        };
        let other = self.answers.iter().find(|it| it.1 != *first);
        let last = self.answers.iter().rfind(|it| it.1 == *first);
        let (other, last) = (other.map(|it| it.0), last.map(|it| it.0));
        other
            .zip(last)
            .map_or(Duration::ZERO, |(other, last)| last.saturating_sub(other))
    }

    /// Fails when nobody answered for too long.
    ///
    /// # Errors
    /// When that is so.
    pub fn expect_gap_below(&self, most: Duration) -> anyhow::Result<()> {
        let gap = self.worst_gap();
        ensure!(gap < most, "nobody answered for {gap:?}");
        Ok(())
    }

    /// From one node to exactly one other, never back and forth.
    ///
    /// # Errors
    /// When it was different.
    pub fn expect_one_change(&self, from: Mac, gap_max: Duration) -> anyhow::Result<()> {
        let macs = self.macs();
        ensure!(
            macs.len() == 2 && macs.first() == Some(&from),
            "the answers came from {macs:02x?}"
        );
        self.expect_gap_below(gap_max)
    }

    /// The same node all the time.
    ///
    /// # Errors
    /// When it was different.
    pub fn expect_only(&self, mac: Mac, gap_max: Duration) -> anyhow::Result<()> {
        let macs = self.macs();
        ensure!(macs == [mac], "the answers came from {macs:02x?}");
        self.expect_gap_below(gap_max)
    }
}
