//! What this node asks for, holds and hands over. However wrong it were, no address would have two owners: that is what
//! grants are for. It decides how soon there is one and how even the load is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Candidate, Fitness, Membership, NodeId, Picture, Plan, Serving, Standing, State};

/// What a decision is made on.
struct Ground<'a> {
    now: Duration,
    me: NodeId,
    /// The number of the next heartbeat.
    next: u64,
    serving: Serving,
    beat: Duration,
    grant: Duration,
    /// Before this moment the voters that started together with this node give nothing.
    patient_until: Duration,
    is_pair: bool,
    picture: &'a Picture,
    plan: &'a Plan,
}

/// What a decision has come to so far.
struct Progress {
    /// When something else is due.
    due: Option<Duration>,
    /// The addresses that this node holds or asks for.
    load: usize,
}

impl Membership {
    /// Goes through all addresses and notes when that is due again.
    pub(super) fn decide(&mut self, now: Duration) {
        self.look(now);
        let mut plan = Plan::new(self.picture.alive(), &self.standings(), &self.scene);
        self.hold(now);
        let ground = Ground {
            now,
            me: self.identity.node,
            next: self.sequence + 1,
            serving: self.scene.serving,
            beat: self.scene.terms.beat,
            grant: self.scene.terms.grant(),
            patient_until: if self.is_alone() {
                now
            } else {
                self.mute_until + self.scene.terms.beat / 5
            },
            is_pair: self.is_pair(),
            picture: &self.picture,
            plan: &plan,
        };
        let candidates = self.candidates.values();
        let mut progress = Progress {
            due: None,
            load: candidates.filter(|it| it.state != State::Idle).count(),
        };
        for (vip, candidate) in &mut self.candidates {
            let before = candidate.state;
            match self.scene.vips.get(vip) {
                Some(Fitness::Fit) => ground.consider(*vip, candidate, &mut progress),
                Some(Fitness::Unfit) | None => {
                    if candidate.state != State::Idle {
                        candidate.drop_claim(now, Duration::ZERO);
                    }
                }
            }
            self.eager |= candidate.state != before;
        }
        self.hand_over(now, &mut plan);
        let leases = self.candidates.iter();
        let leases = leases.filter(|(_, it)| it.held_since().is_some());
        let ends = leases.filter_map(|(vip, it)| self.until(*vip, it));
        self.due = ends.chain(progress.due).min();
    }

    /// Puts together what the voters say.
    fn look(&mut self, now: Duration) {
        let mut picture = Picture::new(self.sets.majority());
        let me = self.identity.node;
        for voter in self.sets.voters() {
            if *voter == me {
                let own = self.grants.list().into_iter().map(|it| (it.vip, it));
                picture.add(me, own.collect(), &self.alive(now));
            } else if let Some(peer) = self.peers.get(voter)
                && peer.is_fresh(now, self.scene.terms.grant())
            {
                picture.add(*voter, peer.granted.clone(), &peer.alive);
            }
        }
        if picture.alive() != self.picture.alive() {
            self.calm_since = now;
        }
        self.picture = picture;
    }

    /// Whose the addresses are. What the dead have is free, although some voters have not forgotten it yet.
    fn standings(&self) -> BTreeMap<IpAddr, Standing> {
        let alive = self.picture.alive();
        let lives = |node: NodeId| alive.binary_search_by_key(&node, |it| it.0).is_ok();
        let standing = |vip| match self.picture.leader(vip).filter(|it| lives(it.0)) {
            None => Standing::Free,
            Some((node, votes)) if votes >= self.sets.majority() => Standing::Owned(node),
            Some((node, _)) => Standing::Sought(node),
        };
        let vips = self.scene.vips.keys();
        vips.map(|vip| (*vip, standing(*vip))).collect()
    }

    /// An address that a majority has granted by now is held.
    fn hold(&mut self, now: Duration) {
        let (voters, majority) = (self.sets.voters(), self.sets.majority());
        for candidate in self.candidates.values_mut() {
            let State::Asking { first, .. } = candidate.state else {
                continue;
            };
            let until = candidate.until(voters, majority);
            if until.is_some_and(|until| until > now) {
                candidate.state = State::Held { first, since: now };
                self.eager = true;
            }
        }
    }

    /// An address that another node serves better than this one.
    fn misplaced(&self, plan: &Plan, held: &[IpAddr]) -> Option<IpAddr> {
        let me = self.identity.node;
        let better = |vip: &IpAddr| {
            let candidate = self.candidates.get(vip);
            let declined = candidate.iter().flat_map(|it| it.declined.keys());
            let not: Vec<NodeId> = declined.copied().chain([me]).collect();
            let to = plan.successor(*vip, &not, usize::MAX);
            !plan.is_favoured(*vip, me) && to.is_some_and(|to| plan.is_favoured(*vip, to))
        };
        held.iter().copied().find(better)
    }

    /// Names a successor for what this node should not hold: everything when it leaves, one after the other when others
    /// hold less.
    fn hand_over(&mut self, now: Duration, plan: &mut Plan) {
        let me = self.identity.node;
        let beat = self.scene.terms.beat;
        let mut held: Vec<IpAddr> = self
            .candidates
            .iter()
            .filter(|(_, it)| matches!(it.state, State::Held { .. }))
            .map(|(vip, _)| *vip)
            .collect();
        let calm = now >= self.next_move && now >= self.calm_since + beat * 10;
        let is_for_load = matches!(self.scene.serving, Serving::Everything | Serving::Part);
        let (count, load_max) = if !is_for_load {
            (held.len(), usize::MAX)
        } else if !calm {
            (0, 0)
        } else if let Some(vip) = self.misplaced(plan, &held) {
            held = vec![vip];
            (1, usize::MAX)
        } else {
            let excess = held.len().saturating_sub(plan.load_max());
            (excess.min(1), plan.even_load())
        };
        let mut left = count;
        for vip in held {
            if left == 0 {
                break;
            }
            let Some(candidate) = self.candidates.get_mut(&vip) else {
                continue;
            };
            candidate.declined.retain(|_, until| *until > now);
            let mut not: Vec<NodeId> = candidate.declined.keys().copied().collect();
            not.push(me);
            let (Some(to), State::Held { first, since }) =
                (plan.successor(vip, &not, load_max), candidate.state)
            else {
                continue;
            };
            // The load is no reason to go where less is served.
            if is_for_load && plan.is_favoured(vip, me) && !plan.is_favoured(vip, to) {
                continue;
            }
            plan.assign(to);
            candidate.state = State::Releasing {
                first,
                since,
                to,
                began: now,
            };
            left -= 1;
            self.next_move = now + beat * 2;
            self.eager = true;
        }
    }
}

impl Ground<'_> {
    fn consider(&self, vip: IpAddr, candidate: &mut Candidate, progress: &mut Progress) {
        match candidate.state {
            State::Idle => {
                if let Some(at) = self.ask_at(vip, candidate, progress.load) {
                    if at <= self.now {
                        candidate.ask(self.now, self.next);
                        progress.load += 1;
                    } else {
                        progress.due = Some(progress.due.map_or(at, |due| due.min(at)));
                    }
                }
            }
            State::Asking { since, .. } => {
                if self.should_withdraw(vip, since) {
                    let turns = self.plan.turn(vip, self.me) + 1;
                    candidate.drop_claim(self.now, self.step().saturating_mul(turns));
                }
            }
            State::Held { .. } => {}
            State::Releasing {
                first,
                since,
                to,
                began,
            } => {
                if self.picture.is_armed(vip, to) {
                    candidate.drop_claim(self.now, self.grant);
                } else if self.now >= began + self.grant {
                    if self.is_pair && self.picture.vote_of(self.me, vip) == Some(to) {
                        // It may answer already, and the one that could say so is not heard.
                        candidate.drop_claim(self.now, self.grant);
                        return;
                    }
                    candidate.declined.insert(to, self.now + self.grant * 10);
                    candidate.state = State::Held { first, since };
                }
            }
        }
    }

    /// When this node should ask for an address.
    fn ask_at(&self, vip: IpAddr, candidate: &mut Candidate, load: usize) -> Option<Duration> {
        let may_ask = self.serving != Serving::Nothing && self.plan.may_ask(vip, self.me);
        if !may_ask || !self.picture.is_connected() {
            candidate.free_since = None;
            return None;
        }
        // Its holder has named this node, or this node lost a lease that the voters still have.
        if self.picture.votes(vip, self.me) > 0 {
            return Some(candidate.not_before);
        }
        if !self.picture.is_free_for(vip, self.me) {
            candidate.free_since = None;
            return None;
        }
        let since = *candidate
            .free_since
            .get_or_insert(self.now.max(self.patient_until));
        let turn = self.plan.turn(vip, self.me);
        // Who should not have it has it if nobody else takes it, as is known when a grant would have run out.
        let wait = if self.plan.is_for_others(vip, self.me, load) {
            self.grant
        } else {
            Duration::ZERO
        };
        let at = since + self.step().saturating_mul(turn) + wait;
        Some(at.max(candidate.not_before))
    }

    /// Whether somebody else is nearer to a majority: votes that are split among several help nobody.
    fn should_withdraw(&self, vip: IpAddr, since: Duration) -> bool {
        if self.serving == Serving::Nothing || !self.plan.may_ask(vip, self.me) {
            return true;
        }
        let asking = self.now.saturating_sub(since);
        let leads = self
            .picture
            .leader(vip)
            .is_none_or(|(node, _)| node == self.me);
        let has_lost = !self.picture.is_free_for(vip, self.me) && !leads;
        asking >= self.grant || (has_lost && asking >= self.beat)
    }

    /// How much later each next turn is: enough for a round trip of the one before.
    fn step(&self) -> Duration {
        self.beat / 5
    }
}
