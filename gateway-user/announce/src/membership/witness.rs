//! What two nodes ask their neighbours when they do not hear each other: whether this node is on the LAN at all, and
//! whether somebody still answers for an address.
//!
//! A witness is a machine that both nodes can reach, the router first of all. Evidence is always the time of a *question*
//! that was answered. An answer does not say to which question it belongs, so it counts for the oldest one that is open.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Addresses that are asked about in one round.
const ROUND_VIPS_MAX: usize = 32;
/// So many questions in a row must stay without an answer before an address counts as free: frames get lost.
const SILENT_ROUNDS: u32 = 3;

/// A question to the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is this witness there?
    Witness(IpAddr),
    /// Does anybody answer for this VIP? It is asked on the LAN, and of every witness that may know the way.
    Owner(IpAddr),
}

/// What was seen on the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A witness has answered.
    Witness(IpAddr),
    /// Another machine has answered for a VIP, or said that it is its own.
    Owner(IpAddr),
}

/// What both nodes can ask, and what came back.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    all: BTreeMap<IpAddr, Witness>,
    last_round: Option<Duration>,
    /// Since when nobody has answered for any address while the witnesses did: the time of the first question.
    silent_since: Option<Duration>,
    /// How often each address was asked about since then.
    asked: BTreeMap<IpAddr, u32>,
    /// The last address that somebody answered for.
    seen: Option<IpAddr>,
    /// When that was.
    seen_at: Option<Duration>,
    /// Where the next round goes on, of more addresses than one can ask about.
    next: Option<IpAddr>,
}

/// One witness.
#[derive(Debug, Default)]
struct Witness {
    /// Questions without an answer yet, oldest first.
    open: VecDeque<Duration>,
    answered: Option<Duration>,
    /// When the first question of those was sent that were answered one after the other up to the last one.
    answers_since: Duration,
    /// The time of the last question that was answered, once they have been for some while: the other node, which asks
    /// as often, must have had an answer meanwhile, too.
    proved: Option<Duration>,
}

/// The lengths that a round needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Distance of rounds.
    pub(super) spacing: Duration,
    /// How long an answer may take.
    pub(super) patience: Duration,
    /// How long answers must come before they prove anything.
    pub(super) span: Duration,
    /// Questions that are farther apart are no row: a process that was held up has missed something.
    pub(super) gap: Duration,
}

impl Witnesses {
    pub(super) fn follow(&mut self, wanted: &BTreeSet<IpAddr>) {
        self.all.retain(|address, _| wanted.contains(address));
        for address in wanted {
            self.all.entry(*address).or_default();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Asks nothing any more, and forgets what was silent.
    pub(super) fn rest(&mut self) {
        self.last_round = None;
        self.forget_silence();
        self.seen = None;
        self.seen_at = None;
        for witness in self.all.values_mut() {
            *witness = Witness::default();
        }
    }

    /// When the next round is due.
    pub(super) fn next_round(&self, pace: Pace) -> Option<Duration> {
        self.last_round.map(|last| last + pace.spacing)
    }

    /// Asks all witnesses, and about some addresses.
    pub(super) fn round(
        &mut self,
        now: Duration,
        pace: Pace,
        vips: &BTreeSet<IpAddr>,
        out: &mut VecDeque<Question>,
    ) {
        let last = self.last_round.replace(now);
        if last.is_some_and(|last| now.saturating_sub(last) > pace.gap) {
            self.forget_silence();
        }
        for (address, witness) in &mut self.all {
            let late = |sent: &Duration| now.saturating_sub(*sent) > pace.patience;
            while witness.open.front().is_some_and(late) {
                witness.open.pop_front();
            }
            witness.open.push_back(now);
            out.push_back(Question::Witness(*address));
        }
        let chosen = self.choose(vips);
        if chosen.is_empty() {
            return;
        }
        self.silent_since.get_or_insert(now);
        for vip in chosen {
            *self.asked.entry(vip).or_default() += 1;
            out.push_back(Question::Owner(vip));
        }
    }

    /// Takes note of an answer.
    pub(super) fn sight(&mut self, now: Duration, pace: Pace, sighting: Sighting) {
        match sighting {
            Sighting::Witness(address) => {
                if let Some(witness) = self.all.get_mut(&address) {
                    witness.answer(now, pace);
                }
            }
            Sighting::Owner(vip) => {
                self.forget_silence();
                self.seen = Some(vip);
                self.seen_at = Some(now);
            }
        }
    }

    /// The newest time at which this node asked and was answered by most of the witnesses: two nodes that both are have
    /// one in common that hears both.
    pub(super) fn evidence(&self) -> Option<Duration> {
        let mut times: Vec<Duration> = self.all.values().filter_map(|it| it.proved).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.get(self.all.len() / 2).copied()
    }

    /// Since when nobody answers for an address while most of the witnesses do, if it was asked often enough.
    pub(super) fn silent_since(&self, now: Duration, pace: Pace, vip: IpAddr) -> Option<Duration> {
        let asked = self.asked.get(&vip).copied().unwrap_or_default();
        if asked <= SILENT_ROUNDS {
            return None;
        }
        // Silence means nothing while the way to the witnesses is not proved.
        Some(self.silent_since?.max(self.answering_since(now, pace)?))
    }

    /// Tells whether two rounds in a row were silent.
    pub(super) fn is_silent(&self) -> bool {
        self.silent_since.is_some() && self.asked.values().any(|asked| *asked > 1)
    }

    /// Tells whether somebody has answered for an address within some time.
    pub(super) fn sees_owner(&self, now: Duration, within: Duration) -> bool {
        let seen = self.seen_at;
        seen.is_some_and(|at| now.saturating_sub(at) <= within)
    }

    /// Since when most of the witnesses have answered every question.
    fn answering_since(&self, now: Duration, pace: Pace) -> Option<Duration> {
        let is_fresh = |it: &&Witness| {
            let answered = it.answered;
            answered.is_some_and(|at| now.saturating_sub(at) <= pace.gap)
        };
        let answering = self.all.values().filter(is_fresh);
        let mut times: Vec<Duration> = answering.map(|it| it.answers_since).collect();
        times.sort_unstable();
        times.get(self.all.len() / 2).copied()
    }

    fn forget_silence(&mut self) {
        self.silent_since = None;
        self.asked.clear();
    }

    /// Who answers for one address lives and has all that it had, so that one is enough to ask about until it is silent.
    fn choose(&mut self, vips: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
        let was_silent = self.seen.is_some_and(|vip| self.asked.contains_key(&vip));
        if was_silent {
            self.seen = None;
        }
        if let Some(vip) = self.seen.filter(|vip| vips.contains(vip)) {
            return vec![vip];
        }
        let first = self.next.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let later = vips.range(first..);
        let mut order = later.chain(vips.range(..first)).copied();
        let chosen = order.by_ref().take(ROUND_VIPS_MAX).collect();
        self.next = order.next();
        chosen
    }
}

impl Witness {
    fn answer(&mut self, now: Duration, pace: Pace) {
        let open = std::iter::from_fn(|| self.open.pop_front());
        let mut fresh = open.filter(|sent| now.saturating_sub(*sent) <= pace.patience);
        let Some(sent) = fresh.next() else {
            return;
        };
        let before = self.answered.replace(sent);
        if before.is_none_or(|before| sent.saturating_sub(before) > pace.gap) {
            self.answers_since = sent;
        }
        if sent.saturating_sub(self.answers_since) >= pace.span {
            self.proved = Some(sent);
        }
    }
}
