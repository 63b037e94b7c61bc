//! What is known of the other nodes: who was heard when, and what the voters among them say.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::Mac;
use serde::{Deserialize, Serialize};

use super::heartbeat::{Echo, Foreign, Granted, Heartbeat, NodeId, Serving, SetId, Stance};
use super::terms::Terms;

/// Heartbeats whose send times are remembered: more than are under way in the life of any lease.
const SENT_MAX: usize = 256;

/// A heartbeat that this node sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Beat {
    sequence: u64,
    pub(super) sent: Duration,
    /// How long this node answers if it is granted what the heartbeat asks for.
    pub(super) lease: Duration,
}

/// This node's newest heartbeats.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sent {
    beats: VecDeque<Beat>,
}

impl Sent {
    pub(super) fn note(&mut self, sequence: u64, sent: Duration, lease: Duration) {
        if self.beats.len() == SENT_MAX {
            self.beats.pop_front();
        }
        self.beats.push_back(Beat {
            sequence,
            sent,
            lease,
        });
    }

    pub(super) fn at(&self, sequence: u64) -> Option<Beat> {
        let found = self.beats.binary_search_by_key(&sequence, |it| it.sequence);
        self.beats.get(found.ok()?).copied()
    }
}

/// Another node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Peer {
    incarnation: u64,
    sequence: u64,
    accepted: u64,
    /// When a heartbeat came that is surely no recording: it echoes what this node sent shortly before.
    pub(super) fresh_at: Option<Duration>,
    pub(super) round_trip: Option<Duration>,
    pub(super) voters: SetId,
    pub(super) terms: Terms,
    pub(super) generation: u64,
    pub(super) serving: Serving,
    pub(super) granted: BTreeMap<IpAddr, Granted>,
    pub(super) alive: Vec<(NodeId, Serving)>,
    pub(super) macs: Vec<Mac>,
    pub(super) foreign: Vec<Foreign>,
    /// From which heartbeat on it is told whom this node hears.
    listed_from: u64,
    /// The newest heartbeat of this node that it has heard.
    heard: u64,
    /// When it last said that it answers for an address, also in what may be a recording.
    pub(super) claims: BTreeMap<IpAddr, Duration>,
}

/// What a heartbeat is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Older than one that came before, or a recording.
    Nothing,
    /// In order, but it may be a recording: it shows nothing that this node has sent lately.
    Hearsay,
    /// An answer to what this node has just sent, and nothing new in it.
    Same,
    /// An answer to what this node has just sent.
    Fresh,
}

impl Peer {
    pub(super) fn unknown() -> Self {
        Self {
            incarnation: 0,
            sequence: 0,
            accepted: 0,
            fresh_at: None,
            round_trip: None,
            voters: SetId::default(),
            terms: Terms::default(),
            generation: 0,
            serving: Serving::Nothing,
            granted: BTreeMap::new(),
            alive: Vec::new(),
            macs: Vec::new(),
            foreign: Vec::new(),
            listed_from: 0,
            heard: 0,
            claims: BTreeMap::new(),
        }
    }

    /// Takes note of a heartbeat. `echoed` is what this node sent and the heartbeat echoes.
    pub(super) fn hear(
        &mut self,
        now: Duration,
        heartbeat: &Heartbeat,
        echoed: Option<Beat>,
        patience: Duration,
    ) -> Worth {
        let place = (heartbeat.incarnation, heartbeat.sequence);
        let longest = patience.max(heartbeat.terms.grant());
        let echoed = echoed.map(|beat| beat.sent);
        let echoed = echoed.filter(|sent| now.saturating_sub(*sent) <= longest);
        // A machine without a clock may come back with an earlier time of day; no recording echoes what was just sent.
        let is_back = heartbeat.incarnation < self.incarnation
            && echoed.is_some()
            && !self.is_fresh(now, patience);
        if place <= (self.incarnation, self.sequence) && !is_back {
            return Worth::Nothing;
        }
        if heartbeat.incarnation != self.incarnation {
            self.accepted = 0;
            (self.listed_from, self.heard) = (0, 0);
        }
        (self.incarnation, self.sequence) = place;
        self.note_claims(now, heartbeat, longest);
        let Some(sent) = echoed else {
            return Worth::Hearsay;
        };
        let was_fresh = self.is_fresh(now, patience);
        self.round_trip = Some(now.saturating_sub(sent));
        self.fresh_at = Some(now);
        self.heard = heartbeat.echo.map_or(0, |it| it.sequence);
        if was_fresh && self.says(heartbeat) {
            return Worth::Same;
        }
        self.voters = heartbeat.voters;
        self.terms = heartbeat.terms;
        self.generation = heartbeat.generation;
        self.serving = heartbeat.serving;
        self.granted = heartbeat.granted.iter().map(|it| (it.vip, *it)).collect();
        if !heartbeat.alive.is_empty() {
            self.alive.clone_from(&heartbeat.alive);
        }
        self.macs.clone_from(&heartbeat.macs);
        self.foreign.clone_from(&heartbeat.foreign);
        Worth::Fresh
    }

    /// Whether a heartbeat says what is known already.
    fn says(&self, heartbeat: &Heartbeat) -> bool {
        let granted = self.granted.values();
        self.voters == heartbeat.voters
            && self.terms == heartbeat.terms
            && self.generation == heartbeat.generation
            && self.serving == heartbeat.serving
            && granted.eq(&heartbeat.granted)
            && (heartbeat.alive.is_empty() || self.alive == heartbeat.alive)
            && self.macs == heartbeat.macs
            && self.foreign == heartbeat.foreign
    }

    /// Tells whether heartbeat `sequence` to it has to say whom this node hears: until it has heard one that did.
    pub(super) fn needs_list(&mut self, sequence: u64, changed: u64) -> bool {
        if self.listed_from < changed || self.listed_from == 0 {
            self.listed_from = sequence;
        }
        self.heard < self.listed_from
    }

    fn note_claims(&mut self, now: Duration, heartbeat: &Heartbeat, longest: Duration) {
        self.claims
            .retain(|_, at| now.saturating_sub(*at) <= longest);
        for asked in &heartbeat.asked {
            match asked.stance {
                Stance::Held | Stance::Released(_) => drop(self.claims.insert(asked.vip, now)),
                Stance::Wanted => {}
            }
        }
    }

    /// Notes that the wishes of the newest heartbeat were taken into account.
    pub(super) fn accept(&mut self) {
        self.accepted = self.sequence;
    }

    pub(super) fn echo(&self) -> Option<Echo> {
        (self.sequence > 0).then_some(Echo {
            incarnation: self.incarnation,
            sequence: self.sequence,
            accepted: self.accepted,
        })
    }

    /// Tells whether it was heard as lately as the slower one of both nodes may expect.
    pub(super) fn is_fresh(&self, now: Duration, patience: Duration) -> bool {
        let longest = patience.max(self.terms.grant());
        self.fresh_at
            .is_some_and(|at| now.saturating_sub(at) <= longest)
    }
}
