//! Which node owns which address, agreed on by heartbeats alone. No socket, no clock, no configuration objects.
//!
//! Every node sends heartbeats to the voters, the voters to everybody. A heartbeat says which addresses its sender holds
//! or wants; a voter grants each address to one node at a time and says so in its own heartbeats, together with the
//! newest heartbeat that it took into account. A node answers until the send time of what a majority granted, plus the
//! lease. Two majorities share a voter, whose earlier grant outlasts the lease that came of it: there are never two
//! owners, whatever is lost, late or cut off, and without clocks that agree. Only a planned hand-over has two for a
//! moment, the one that leaves and the one that it named.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::{AddressRange, Mac};

mod aside;
mod candidate;
mod grants;
pub mod heartbeat;
pub mod pair;
pub mod past;
mod peers;
mod picture;
mod rank;
mod sets;
mod strategy;
pub mod terms;
mod vote;
pub mod witness;

use self::aside::Aside;
use self::candidate::{Candidate, State};
use self::grants::{Change, Grants};
use self::heartbeat::{Asked, Heartbeat, NodeId, Serving, SetId};
use self::pair::Verdict;
use self::peers::{Peer, Sent, Worth};
use self::picture::Picture;
use self::rank::{Plan, Standing};
use self::sets::Sets;
use self::terms::Terms;
use self::witness::{Question, Witnesses};

#[cfg(test)]
mod tests;

/// What a membership is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// This node.
    pub node: NodeId,
    /// This life of the process; greater than that of any former one.
    pub incarnation: u64,
}

/// What exists right now, as far as ownership is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// All nodes, this one among them.
    pub nodes: BTreeSet<NodeId>,
    /// Those that vote.
    pub voters: BTreeSet<NodeId>,
    /// Every VIP, and whether this node could answer for it.
    pub vips: BTreeMap<IpAddr, Fitness>,
    /// The nodes that serve most of what a VIP leads to, where that differs from node to node.
    pub favoured: BTreeMap<IpAddr, BTreeSet<NodeId>>,
    /// The nodes that serve nothing of what a VIP leads to, where others do: they do not ask for it.
    pub barred: BTreeMap<IpAddr, BTreeSet<NodeId>>,
    /// Whether this node takes part.
    pub serving: Serving,
    /// The configuration that this node runs.
    pub generation: u64,
    /// The lengths that this node lives by.
    pub terms: Terms,
    /// Whom one of two nodes asks when it does not hear the other: machines that both can reach.
    pub witnesses: BTreeSet<IpAddr>,
    /// The Ethernet addresses that this node answers with.
    pub macs: Vec<Mac>,
    /// The addresses that are set aside when another machine has them; none: that is not wanted.
    pub movable: Vec<AddressRange>,
}

/// Whether this node could answer for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It could.
    Fit,
    /// It has no interface for it.
    Unfit,
}

/// An address that this node answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The VIP.
    pub vip: IpAddr,
    /// When this node won it.
    pub since: Duration,
    /// When the answer ends: one lease after the sending of what a majority has granted.
    pub until: Duration,
}

/// What is known of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// When its last trustworthy heartbeat came.
    pub heard: Option<Duration>,
    /// From the sending of a heartbeat to the arrival of its echo.
    pub round_trip: Option<Duration>,
    /// The configuration that it runs.
    pub generation: u64,
}

/// What makes a node the owner of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// There is no other node.
    Alone,
    /// A majority of the voters has granted it.
    Majority,
    /// It is one of two nodes, does not hear the other, and the witnesses answer it.
    Witnesses,
}

/// The state machine.
#[derive(Debug)]
pub struct Membership {
    identity: Identity,
    scene: Scene,
    sets: Sets,
    started: Duration,
    /// Before this moment nothing is given: a former life of this process may have granted it.
    mute_until: Duration,
    grants: Grants,
    peers: BTreeMap<NodeId, Peer>,
    sent: Sent,
    sequence: u64,
    last_beat: Option<Duration>,
    /// Whom this node said that it hears, as a voter, and from which heartbeat on.
    listed: (Vec<(NodeId, Serving)>, u64),
    /// Something has happened that others should know before the next beat.
    eager: bool,
    candidates: BTreeMap<IpAddr, Candidate>,
    picture: Picture,
    calm_since: Duration,
    next_move: Duration,
    /// When a decision is due, apart from beats.
    due: Option<Duration>,
    out: VecDeque<Heartbeat>,
    witnesses: Witnesses,
    questions: VecDeque<Question>,
    verdict: Verdict,
    /// When another node was last found to answer for the same address.
    rivals: BTreeMap<IpAddr, Duration>,
    aside: Aside,
}

impl Membership {
    /// Starts a life. It grants nothing for the length of its own grant: nobody counts on a voter for longer than that.
    pub fn new(now: Duration, identity: Identity, scene: Scene) -> Self {
        let mut membership = Self {
            mute_until: now + scene.terms.grant(),
            ..Self::blank(now, identity)
        };
        membership.update(now, scene);
        membership
    }

    /// Takes note of what exists. What is due at `now` is done as well.
    pub fn update(&mut self, now: Duration, scene: Scene) {
        if scene != self.scene {
            self.sets.change(scene.voters.clone());
            self.peers.retain(|node, _| scene.nodes.contains(node));
            for vip in scene.vips.keys() {
                self.candidates.entry(*vip).or_insert_with(Candidate::new);
            }
            self.candidates
                .retain(|vip, _| scene.vips.contains_key(vip));
            self.rivals.retain(|vip, _| scene.vips.contains_key(vip));
            self.witnesses.follow(&scene.witnesses);
            self.aside.follow(&scene.movable);
            self.scene = scene;
            self.eager = true;
        }
        self.advance(now);
    }

    /// Takes part no more: hands every address over, then keeps silent for good.
    pub fn leave(&mut self, now: Duration) {
        self.scene.serving = Serving::Nothing;
        self.eager = true;
        self.advance(now);
    }

    /// Takes a heartbeat into account that was proved to come from who it says.
    pub fn hear(&mut self, now: Duration, heartbeat: &Heartbeat) {
        self.expire(now);
        let known = self.scene.nodes.contains(&heartbeat.from);
        if heartbeat.to != self.identity.node || heartbeat.from == self.identity.node || !known {
            return;
        }
        let echo = heartbeat
            .echo
            .filter(|echo| echo.incarnation == self.identity.incarnation);
        let echoed = echo.and_then(|echo| self.sent.at(echo.sequence));
        let patience = self.scene.terms.grant();
        let peer = self
            .peers
            .entry(heartbeat.from)
            .or_insert_with(Peer::unknown);
        let worth = peer.hear(now, heartbeat, echoed, patience);
        match worth {
            Worth::Nothing | Worth::Hearsay => return,
            Worth::Same | Worth::Fresh => {}
        }
        self.eager |= self.aside.learn(&heartbeat.foreign) == Change::Told;
        let accepted = echo.map_or(0, |echo| echo.accepted);
        if let Some(beat) = self.sent.at(accepted) {
            self.count(heartbeat, accepted, beat);
        }
        if heartbeat.voters == self.sets.id() && self.is_voter() {
            if let Some(peer) = self.peers.get_mut(&heartbeat.from) {
                peer.accept();
            }
            self.weigh(now, heartbeat.from, heartbeat.terms, &heartbeat.asked);
        }
        self.notice_rival(now, heartbeat);
        // Of hundreds of nodes nearly all say the same all the time.
        let is_calm = self.candidates.values().all(Candidate::is_calm);
        if worth == Worth::Fresh || self.eager || !is_calm || self.next_wakeup() <= now {
            self.advance(now);
        }
    }

    /// Does what is due at `now`.
    pub fn advance(&mut self, now: Duration) {
        self.expire(now);
        let own = self.scene.terms.grant();
        let fresh = self.peers.iter().filter(|(_, it)| it.is_fresh(now, own));
        let heard: BTreeMap<NodeId, SetId> = fresh
            .clone()
            .map(|(node, peer)| (*node, peer.voters))
            .chain([(self.identity.node, self.sets.id())])
            .collect();
        let longest = fresh.fold(own, |longest, (_, it)| longest.max(it.terms.grant()));
        self.sets.follow(now, longest, &heard, &self.scene.nodes);
        self.ask_around(now);
        self.take(now);
        self.decide(now);
        if self.next_beat().is_none_or(|next| next <= now) || self.asks_itself() {
            self.beat(now);
            // This node's own vote may be the one that was missing.
            self.decide(now);
        }
    }

    /// When [`Self::advance`] has something to do again.
    pub fn next_wakeup(&self) -> Duration {
        let beat = self.next_beat().unwrap_or_default();
        let grants = self.grants.next_wakeup().into_iter();
        let others = grants.chain(self.due).chain(self.next_look_around());
        others.fold(beat, Duration::min)
    }

    /// The next heartbeat to send, oldest first.
    pub fn poll(&mut self) -> Option<Heartbeat> {
        self.out.pop_front()
    }

    /// The addresses that this node answers for, sorted.
    pub fn holdings(&self) -> impl Iterator<Item = Holding> {
        self.candidates.iter().filter_map(|(vip, candidate)| {
            Some(Holding {
                vip: *vip,
                since: candidate.held_since()?,
                until: self.until(*vip, candidate)?,
            })
        })
    }

    /// What makes this node the owner of an address; none: it is not.
    pub fn basis(&self, now: Duration, vip: IpAddr) -> Option<Basis> {
        let candidate = self.candidates.get(&vip)?;
        candidate.held_since()?;
        let granted = candidate.until(self.sets.voters(), self.sets.majority());
        Some(if self.is_alone() {
            Basis::Alone
        } else if granted.is_some_and(|until| until > now) {
            Basis::Majority
        } else {
            Basis::Witnesses
        })
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.identity.node
    }

    /// The node that a majority has made the owner of an address, as far as this node knows.
    pub fn owner(&self, vip: IpAddr) -> Option<NodeId> {
        self.picture.owner(vip)
    }

    /// Tells whether a majority of the voters is heard.
    pub fn is_connected(&self) -> bool {
        self.picture.is_connected()
    }

    /// The other nodes, as far as they were heard.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.peers.iter().map(|(node, peer)| member(*node, peer))
    }

    /// Those that are heard now.
    pub fn heard(&self, now: Duration) -> impl Iterator<Item = Member> {
        let patience = self.scene.terms.grant();
        let peers = self.peers.iter();
        peers
            .filter(move |(_, peer)| peer.is_fresh(now, patience))
            .map(|(node, peer)| member(*node, peer))
    }

    /// Whether this node does not ask for an address because it could serve nothing of what it leads to.
    pub(crate) fn is_barred(&self, vip: IpAddr) -> bool {
        let barred = self.scene.barred.get(&vip);
        barred.is_some_and(|it| it.contains(&self.identity.node))
    }

    /// Notes which configuration this node runs. It is no reason to hurry: it goes out with the next beat.
    pub fn run(&mut self, generation: u64) {
        self.scene.generation = generation;
    }

    /// Whether this node is a voter: those hear everybody.
    pub fn is_voter(&self) -> bool {
        self.sets.voters().contains(&self.identity.node)
    }

    /// Whether an Ethernet address is one that another node answers with, as far as they say.
    pub fn is_peer(&self, mac: Mac) -> bool {
        self.peers.values().any(|peer| peer.macs.contains(&mac))
    }

    fn blank(now: Duration, identity: Identity) -> Self {
        Self {
            identity,
            scene: Scene::default(),
            sets: Sets::default(),
            started: now,
            mute_until: now,
            grants: Grants::default(),
            peers: BTreeMap::new(),
            sent: Sent::default(),
            sequence: 0,
            last_beat: None,
            listed: (Vec::new(), 0),
            eager: false,
            candidates: BTreeMap::new(),
            picture: Picture::default(),
            calm_since: now,
            next_move: now,
            due: None,
            out: VecDeque::new(),
            witnesses: Witnesses::default(),
            questions: VecDeque::new(),
            verdict: Verdict::None,
            rivals: BTreeMap::new(),
            aside: Aside::default(),
        }
    }

    fn is_alone(&self) -> bool {
        self.scene.nodes.len() == 1
    }

    fn until(&self, vip: IpAddr, candidate: &Candidate) -> Option<Duration> {
        let granted = candidate.until(self.sets.voters(), self.sets.majority());
        granted.max(self.kept_until(vip, candidate))
    }

    /// Ends what has run out: an address that was lost is won again or not at all.
    fn expire(&mut self, now: Duration) {
        let held = self.candidates.iter();
        let held = held.filter(|(_, it)| it.held_since().is_some());
        let over = held.filter(|(vip, it)| self.until(**vip, it).is_none_or(|until| until <= now));
        for vip in over.map(|(vip, _)| *vip).collect::<Vec<_>>() {
            if let Some(candidate) = self.candidates.get_mut(&vip) {
                candidate.drop_claim(now, Duration::ZERO);
                self.eager = true;
            }
        }
        if self.grants.expire(now) == Change::Told {
            self.eager = true;
        }
    }

    fn next_beat(&self) -> Option<Duration> {
        let last = self.last_beat?;
        let beat = self.scene.terms.beat;
        // News go out at once, but not each by itself when there are many.
        let is_eager = self.eager && !self.is_alone();
        Some(last + if is_eager { beat / 50 } else { beat })
    }

    /// Tells whether this node waits for nothing but its own vote.
    fn asks_itself(&self) -> bool {
        let mut candidates = self.candidates.values();
        self.is_alone() && candidates.any(|it| matches!(it.state, State::Asking { .. }))
    }

    fn beat(&mut self, now: Duration) {
        self.eager = false;
        self.last_beat = Some(now);
        self.sequence += 1;
        let terms = self.scene.terms;
        self.sent.note(self.sequence, now, terms.lease);
        let asked: Vec<Asked> = self
            .candidates
            .iter()
            .filter_map(|(vip, candidate)| {
                let stance = candidate.stance()?;
                Some(Asked { vip: *vip, stance })
            })
            .collect();
        let me = self.identity.node;
        let mut told = self.sets.voters().clone();
        let (mut granted, mut alive) = (Vec::new(), Vec::new());
        if self.is_voter() {
            self.weigh(now, me, terms, &asked);
            self.eager = false;
            for (vip, candidate) in &mut self.candidates {
                if self.grants.is_granted(*vip, me) {
                    candidate.grant(me, self.sequence, now + terms.lease);
                }
            }
            granted = self.grants.list();
            alive = self.alive(now);
            if self.listed.0 != alive {
                self.listed = (alive.clone(), self.sequence);
            }
            told.clone_from(&self.scene.nodes);
        }
        told.remove(&me);
        for to in told {
            let peer = self.peers.get_mut(&to);
            let needs_list = peer.is_none_or(|it| it.needs_list(self.sequence, self.listed.1));
            self.out.push_back(Heartbeat {
                from: me,
                to,
                incarnation: self.identity.incarnation,
                sequence: self.sequence,
                terms,
                voters: self.sets.id(),
                generation: self.scene.generation,
                serving: self.scene.serving,
                echo: self.peers.get(&to).and_then(Peer::echo),
                asked: asked.clone(),
                granted: granted.clone(),
                alive: if needs_list {
                    alive.clone()
                } else {
                    Vec::new()
                },
                macs: self.scene.macs.clone(),
                foreign: self.aside.list(),
            });
        }
    }
}

fn member(node: NodeId, peer: &Peer) -> Member {
    Member {
        node,
        heard: peer.fresh_at,
        round_trip: peer.round_trip,
        generation: peer.generation,
    }
}
