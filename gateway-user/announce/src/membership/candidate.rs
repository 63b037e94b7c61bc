//! The claimant's side: how this node stands to one address, and by whose grants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::{NodeId, Stance};

/// This node's way to one address and back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Candidate {
    pub(super) state: State,
    /// Since when nobody has it, as far as a majority says.
    pub(super) free_since: Option<Duration>,
    /// It is not asked for before.
    pub(super) not_before: Duration,
    /// Nodes that did not take it when it was handed to them.
    pub(super) declined: BTreeMap<NodeId, Duration>,
    /// By voter: until when its newest grant lets this node answer, counted from the sending of the wish that it took into
    /// account.
    granted: BTreeMap<NodeId, Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Idle,
    /// Asked for since this heartbeat and moment.
    Asking {
        first: u64,
        since: Duration,
    },
    Held {
        first: u64,
        since: Duration,
    },
    /// Answers go on until the other node gives them.
    Releasing {
        first: u64,
        since: Duration,
        to: NodeId,
        began: Duration,
    },
}

impl Candidate {
    pub(super) fn new() -> Self {
        Self {
            state: State::Idle,
            free_since: None,
            not_before: Duration::ZERO,
            declined: BTreeMap::new(),
            granted: BTreeMap::new(),
        }
    }

    /// Whether it waits for nobody.
    pub(super) fn is_calm(&self) -> bool {
        match self.state {
            State::Idle | State::Held { .. } => true,
            State::Asking { .. } | State::Releasing { .. } => false,
        }
    }

    /// What the heartbeats say about it.
    pub(super) fn stance(&self) -> Option<Stance> {
        match self.state {
            State::Idle => None,
            State::Asking { .. } => Some(Stance::Wanted),
            State::Held { .. } => Some(Stance::Held),
            State::Releasing { to, .. } => Some(Stance::Released(to)),
        }
    }

    /// Starts to ask, beginning with a heartbeat that is not sent yet.
    pub(super) fn ask(&mut self, now: Duration, first: u64) {
        self.granted.clear();
        self.state = State::Asking { first, since: now };
    }

    /// Holds it without grants, as one of two nodes may.
    pub(super) fn take(&mut self, now: Duration, first: u64) {
        self.granted.clear();
        self.state = State::Held { first, since: now };
    }

    /// Gives up; what was granted before never counts again.
    pub(super) fn drop_claim(&mut self, now: Duration, pause: Duration) {
        self.granted.clear();
        self.state = State::Idle;
        self.free_since = None;
        self.not_before = now + pause;
    }

    /// A voter granted it, in answer to heartbeat `sequence`, which lets this node answer `until` then.
    pub(super) fn grant(&mut self, voter: NodeId, sequence: u64, until: Duration) {
        let first = match self.state {
            State::Idle => return,
            State::Asking { first, .. }
            | State::Held { first, .. }
            | State::Releasing { first, .. } => first,
        };
        if sequence < first {
            return;
        }
        let newest = self.granted.entry(voter).or_default();
        *newest = until.max(*newest);
    }

    /// Until when a majority of the voters lets this node answer.
    pub(super) fn until(&self, voters: &BTreeSet<NodeId>, majority: usize) -> Option<Duration> {
        let granted = self.granted.iter();
        let granted = granted.filter(|(voter, _)| voters.contains(voter));
        let mut times: Vec<Duration> = granted.map(|(_, until)| *until).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.get(majority.checked_sub(1)?).copied()
    }

    /// Since when this node answers for it; none: it does not.
    pub(super) fn held_since(&self) -> Option<Duration> {
        match self.state {
            State::Idle | State::Asking { .. } => None,
            State::Held { since, .. } | State::Releasing { since, .. } => Some(since),
        }
    }
}
