//! Two nodes, one of which does not hear the other: the rules that stand in for a majority.
//!
//! *Keep*: the holder of an address goes on while most of the witnesses answer it. *Take*: the other node takes an address
//! when its holder has been silent for longer than it may answer, the witnesses answer this node, and nobody answers for the
//! address, neither on the LAN nor by way of the witnesses. Where an arbiter can be reached, it has the last word.
//! A record in `docs/adr` has the argument, and the one case in which two nodes answer all the same.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::candidate::{Candidate, State};
use super::heartbeat::{Heartbeat, NodeId, Serving, Stance};
use super::rank::score;
use super::terms::Terms;
use super::witness::{Pace, Question, Sighting};
use super::{Fitness, Membership};

/// What somebody that both nodes ask, and that hears at most one of them, says about who may answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// There is no arbiter, or it can not be reached.
    #[default]
    None,
    /// It was asked and has not answered yet.
    Pending,
    /// This node may.
    Mine,
    /// The other node may.
    Other,
}

/// What keeps one of two nodes from answering while it does not hear the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// There is nobody to ask.
    NoWitness,
    /// The witnesses do not answer: this node is the one that is cut off, or they are down.
    WitnessesSilent,
    /// Somebody answers for addresses, so the other node lives.
    OtherAnswers,
    /// The arbiter has decided for the other node.
    Arbiter,
}

/// How long one answer of the witnesses lets a node answer, if its own lease is not shorter, and how long the other one
/// waits. Both are the same whatever the settings say: nodes that do not hear each other can not tell each other of a
/// change.
const KEPT: Terms = Terms {
    beat: Duration::from_millis(100),
    lease: Duration::from_millis(300),
};
/// Distance of questions. For the same reason all nodes ask as often.
const PACE: Pace = Pace {
    spacing: Duration::from_millis(10),
    patience: Duration::from_millis(150),
    span: Duration::from_millis(25),
    gap: Duration::from_millis(75),
};

impl Membership {
    /// Takes note of what was seen on the LAN.
    pub fn sight(&mut self, now: Duration, sighting: Sighting) {
        self.expire(now);
        if !self.is_pair() {
            return;
        }
        self.witnesses.sight(now, PACE, sighting);
        if let Sighting::Owner(vip) = sighting
            && self.is_split(now)
        {
            self.meet_rival(now, vip);
        }
        self.advance(now);
    }

    /// Takes over what the arbiter says.
    pub fn judge(&mut self, now: Duration, verdict: Verdict) {
        self.expire(now);
        if self.verdict != verdict {
            self.verdict = verdict;
            self.advance(now);
        }
    }

    /// Tells whether an arbiter should decide now: this node holds addresses and does not hear the other one, or it could
    /// take them.
    pub fn wants_arbiter(&self, now: Duration) -> bool {
        let mut candidates = self.candidates.values();
        let holds = candidates.any(|it| it.held_since().is_some());
        self.is_split(now) && (holds || self.witnesses.is_silent())
    }

    /// The next question to the LAN, oldest first.
    pub fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// What keeps this node from answering, if it is one of two and does not hear the other.
    pub fn hindrance(&self, now: Duration) -> Option<Hindrance> {
        let (heard, _) = self.last_heard();
        if self.scene.nodes.len() != 2 || now < heard + self.patience() {
            return None;
        }
        let evidence = self.witnesses.evidence();
        if self.witnesses.is_empty() {
            Some(Hindrance::NoWitness)
        } else if self.verdict == Verdict::Other {
            Some(Hindrance::Arbiter)
        } else if self.witnesses.sees_owner(now, self.patience()) {
            Some(Hindrance::OtherAnswers)
        } else if evidence.is_none_or(|at| at + self.kept_lease() <= now) {
            Some(Hindrance::WitnessesSilent)
        } else {
            None
        }
    }

    /// When another node was last found to answer for an address that this one answers for, too.
    pub fn rival_at(&self, vip: IpAddr) -> Option<Duration> {
        self.rivals.get(&vip).copied()
    }

    /// Whether a machine that claims an address may be the other node: it is not heard, and has not said how it answers.
    pub(crate) fn may_be_rival(&self, now: Duration) -> bool {
        let has_said = self
            .peers
            .get(&self.other())
            .is_some_and(|it| !it.macs.is_empty());
        self.is_pair() && self.is_split(now) && !has_said
    }

    /// Whether the rules of this file apply: there are two nodes, both vote, and there is somebody to ask.
    pub(super) fn is_pair(&self) -> bool {
        self.scene.nodes.len() == 2 && self.sets.voters().len() == 2 && !self.witnesses.is_empty()
    }

    /// Until when the witnesses let this node answer for what it holds.
    pub(super) fn kept_until(&self, vip: IpAddr, candidate: &Candidate) -> Option<Duration> {
        let is_held = matches!(candidate.state, State::Held { .. });
        // What this node has granted to the other one, the witnesses do not give back.
        let is_own = self.grants.is_granted(vip, self.node());
        if !is_held || !is_own || !self.is_pair() || self.verdict == Verdict::Other {
            return None;
        }
        let evidence = self.witnesses.evidence()?;
        let until = evidence + self.kept_lease();
        // Only evidence from a while after it began to answer shows that the other node could have seen it do so.
        let since = candidate.held_since()?;
        Some(if since + PACE.span <= evidence {
            until
        } else {
            until.min(since + PACE.gap)
        })
    }

    /// Asks the LAN while the other node is not heard.
    pub(super) fn ask_around(&mut self, now: Duration) {
        if !self.is_pair() || now < self.asks_at() {
            self.witnesses.rest();
            return;
        }
        if self.witnesses.next_round(PACE).is_none_or(|at| at <= now) {
            let vips = self.wanted();
            self.witnesses.round(now, PACE, &vips, &mut self.questions);
        }
    }

    /// When [`Self::ask_around`] or [`Self::take`] has something to do again.
    pub(super) fn next_look_around(&self) -> Option<Duration> {
        if !self.is_pair() || self.scene.serving == Serving::Nothing {
            return None;
        }
        let round = self.witnesses.next_round(PACE);
        Some(round.unwrap_or_else(|| self.asks_at()))
    }

    /// Takes the addresses that nobody answers for.
    pub(super) fn take(&mut self, now: Duration) {
        if !self.is_pair() || !self.may_take(now) {
            return;
        }
        let (me, other) = (self.node(), self.other());
        let (next, patience) = (self.sequence + 1, self.patience());
        // Where nobody answers, both may be about to take; the one that the hash prefers is first.
        let step = KEPT.beat;
        for vip in self.wanted() {
            let is_first =
                self.scene.serving <= Serving::Part && score(vip, me) > score(vip, other);
            let wait = KEPT.grant() + if is_first { Duration::ZERO } else { step };
            let silent = self.witnesses.silent_since(now, PACE, vip);
            let is_free = self.grants.holder(vip).is_none_or(|it| it == me);
            let claimed = self.peers.get(&other).and_then(|it| it.claims.get(&vip));
            let is_free = is_free && claimed.is_none_or(|at| *at + patience <= now);
            let Some(candidate) = self.candidates.get_mut(&vip) else {
                continue;
            };
            let is_due = silent.is_some_and(|since| since + wait <= now);
            if is_due && is_free && candidate.not_before <= now {
                candidate.take(now, next);
                self.grants.take(vip, me, now + self.scene.terms.grant());
                self.eager = true;
            }
        }
    }

    /// One of two nodes that both answer gives up: the one that the hash does not prefer.
    pub(super) fn notice_rival(&mut self, now: Duration, heartbeat: &Heartbeat) {
        if !self.is_pair() {
            return;
        }
        let held = heartbeat.asked.iter();
        let held = held.filter(|it| it.stance == Stance::Held).map(|it| it.vip);
        for vip in held.collect::<Vec<_>>() {
            self.meet_rival(now, vip);
        }
    }

    fn meet_rival(&mut self, now: Duration, vip: IpAddr) {
        let (me, other) = (self.node(), self.other());
        let (voters, majority) = (self.sets.voters(), self.sets.majority());
        let grant = self.scene.terms.grant();
        let Some(candidate) = self.candidates.get_mut(&vip) else {
            return;
        };
        let is_granted = candidate
            .until(voters, majority)
            .is_some_and(|until| until > now);
        if !matches!(candidate.state, State::Held { .. }) || is_granted {
            return;
        }
        self.rivals.insert(vip, now);
        if score(vip, me) < score(vip, other) {
            candidate.drop_claim(now, grant);
            self.eager = true;
        }
    }

    /// The addresses that this node could take.
    fn wanted(&self) -> BTreeSet<IpAddr> {
        let candidates = self.candidates.iter();
        let silent = candidates.filter(|(_, it)| it.held_since().is_none());
        let silent = silent.filter(|(vip, _)| !self.is_barred(**vip));
        let fit = silent.filter(|(vip, _)| self.scene.vips.get(vip) == Some(&Fitness::Fit));
        fit.map(|(vip, _)| *vip).collect()
    }

    fn may_take(&self, now: Duration) -> bool {
        // What it may answer by this node's leave ends so long after it was heard to hear this node.
        let heard = self.peers.get(&self.other()).and_then(|it| it.fresh_at);
        let is_silent = heard.is_none_or(|at| at + self.patience() <= now);
        let is_allowed = matches!(self.verdict, Verdict::None | Verdict::Mine);
        let is_serving = self.scene.serving != Serving::Nothing;
        let is_sure = now >= self.mute_until && self.sets.is_settled();
        is_serving && is_silent && is_allowed && is_sure
    }

    /// Whether the other node is not heard, although it should have been by now.
    fn is_split(&self, now: Duration) -> bool {
        now >= self.split_at()
    }

    fn split_at(&self) -> Duration {
        let (heard, beat) = self.last_heard();
        heard + beat + beat / 2
    }

    /// When the LAN is asked: as soon as a heartbeat is late, for its answers must be there before a lease ends.
    fn asks_at(&self) -> Duration {
        let (heard, beat) = self.last_heard();
        heard + beat + beat / 10
    }

    /// When the other node was heard, and how often it should be.
    fn last_heard(&self) -> (Duration, Duration) {
        let peer = self.peers.get(&self.other());
        let heard = peer.and_then(|it| it.fresh_at).unwrap_or(self.started);
        let theirs = peer.map_or(Duration::ZERO, |it| it.terms.beat);
        (heard, self.scene.terms.beat.max(theirs))
    }

    /// How long the other node may answer, or its voter's word bind this one, after it was last heard.
    fn patience(&self) -> Duration {
        let own = self.scene.terms.grant();
        let peer = self.peers.get(&self.other());
        peer.map_or(own, |it| own.max(it.terms.grant()))
    }

    /// How long an answer of the witnesses lets this node answer.
    fn kept_lease(&self) -> Duration {
        self.scene.terms.lease.min(KEPT.lease)
    }

    fn other(&self) -> NodeId {
        let mut nodes = self.scene.nodes.iter().copied();
        nodes.find(|it| *it != self.node()).unwrap_or_default()
    }
}
