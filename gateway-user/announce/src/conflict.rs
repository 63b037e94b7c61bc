//! Other machines that have an address of ours (RFC 5227, RFC 4862 §5.4): asked for before the first use, watched for
//! while it is in use.

use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::Mac;

/// Probes before the first use.
const PROBES: u32 = 3;
/// Their distance, and how long the last one is waited for.
const PROBE_DISTANCE: Duration = Duration::from_millis(100);
/// An address that another machine has is asked about again after this time.
const RETRY: Duration = Duration::from_secs(30);
/// Neighbours are told no more often than this because of another machine (`DEFEND_INTERVAL` of RFC 5227 §1.1).
const DEFEND_DISTANCE: Duration = Duration::from_secs(10);
/// A conflict that was not seen for this time is over.
const MEMORY: Duration = Duration::from_secs(60);

/// Another machine's word that an address is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignClaim {
    /// The address.
    pub address: IpAddr,
    /// Index of the interface where it was heard.
    pub interface: u32,
    /// The Ethernet address that it named.
    pub mac: Mac,
    /// When it was heard.
    pub seen: Duration,
}

/// A conflict about an address that this node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The other machine.
    pub mac: Mac,
    /// When it was heard last.
    pub seen: Duration,
    /// When the neighbours were told last because of it.
    defended: Option<Duration>,
}

impl Conflict {
    pub(crate) fn new(mac: Mac, seen: Duration) -> Self {
        Self {
            mac,
            seen,
            defended: None,
        }
    }

    /// Tells whether it still matters.
    pub fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.seen) < MEMORY
    }

    /// Tells whether a later claim shows that the other machine does not give way.
    pub(crate) fn is_confirmed_by(self, later: Self) -> bool {
        later.seen.saturating_sub(self.seen) < DEFEND_DISTANCE
    }

    /// Tells whether the neighbours are to be told; two machines that both defend themselves must not do it for ever and at
    /// once.
    pub(crate) fn may_defend(last: Option<Self>, this: &mut Option<Self>, now: Duration) -> bool {
        let defended = last.and_then(|it| it.defended);
        let is_due = defended.is_none_or(|at| now.saturating_sub(at) >= DEFEND_DISTANCE);
        if let Some(this) = this {
            this.defended = if is_due { Some(now) } else { defended };
        }
        is_due
    }
}

/// Whether somebody may have an address that this node has just won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstUse {
    /// Nobody of ours had it, as far as this node knows.
    Yes,
    /// Another node had it, or this one: there is no time to lose.
    No,
}

/// How far the use of an address has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// It is asked whether somebody else has it.
    Probing { sent: u32, next: Duration },
    /// It is answered for.
    Announced,
    /// Somebody else has it.
    Contested { retry: Duration },
}

impl Usage {
    pub(crate) fn begin(now: Duration, first: FirstUse) -> Self {
        match first {
            FirstUse::Yes => Self::Probing { sent: 0, next: now },
            FirstUse::No => Self::Announced,
        }
    }

    pub(crate) fn contested(now: Duration) -> Self {
        Self::Contested { retry: now + RETRY }
    }

    /// Tells whether a probe is due.
    pub(crate) fn asks(&mut self, now: Duration) -> bool {
        if let Self::Contested { retry } = *self
            && retry <= now
        {
            *self = Self::begin(now, FirstUse::Yes);
        }
        match self {
            Self::Probing { sent, next } if *sent < PROBES && *next <= now => {
                *sent += 1;
                *next = now + PROBE_DISTANCE;
                true
            }
            Self::Probing { .. } | Self::Announced | Self::Contested { .. } => false,
        }
    }

    /// Goes over to answering when nobody has said a word after the last probe.
    pub(crate) fn passes(&mut self, now: Duration) -> bool {
        match *self {
            Self::Probing { sent, next } if sent == PROBES && next <= now => {
                *self = Self::Announced;
                true
            }
            Self::Probing { .. } | Self::Announced | Self::Contested { .. } => false,
        }
    }

    /// When there is something to do.
    pub(crate) fn next(self) -> Option<Duration> {
        match self {
            Self::Probing { next, .. } => Some(next),
            Self::Contested { retry } => Some(retry),
            Self::Announced => None,
        }
    }
}
