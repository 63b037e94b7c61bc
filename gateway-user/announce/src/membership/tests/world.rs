//! Simulated nodes with clocks of their own, kernels that answer until a deadline, and a network that misbehaves.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gateway_ir::{AddressRange, Mac};

use super::super::heartbeat::{Heartbeat, NodeId, Serving};
use super::super::pair::Verdict;
use super::super::terms::Terms;
use super::super::witness::{Question, Sighting};
use super::super::{Fitness, Identity, Membership, Scene};

/// How finely time passes.
const TICK: Duration = Duration::from_millis(1);
/// The router, where nodes are named by their index.
pub(super) const ROUTER: usize = 99;
/// Two of two nodes that took an address at the same moment, when nobody had it, can not know of each other before.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Two that answer for one address by a named hole are one again when they have heard each other's heartbeats and the
/// echoes of their own: two of the longest beats and of the longest delays.
const MENDED: Duration = Duration::from_millis(1200);
/// What the longest beat has not told of yet: a cut that has just ended is as good as one.
const UNHEARD: Duration = Duration::from_millis(200);
/// As many as vote in the product.
const VOTERS_MAX: usize = 5;
/// Rivals that are noted: more make a failure no clearer.
const RIVALS_MAX: usize = 4;

pub(super) struct World {
    now: Duration,
    nodes: Vec<Node>,
    vips: Vec<IpAddr>,
    wire: BinaryHeap<Flight>,
    count: u64,
    cuts: BTreeSet<(usize, usize)>,
    random: u64,
    pub(super) loss: u8,
    pub(super) delay: Duration,
    /// Two nodes that answered for an address at the same time, although none had named the other.
    pub(super) rivals: Vec<(IpAddr, usize, usize)>,
    recorded: Vec<Heartbeat>,
    /// Whether the nodes ask the router.
    routed: bool,
    /// Whether the router sends frames back to where they came from.
    pub(super) hairpin: bool,
    /// Who has the Lease of the API server, for those that reach it.
    lease: Option<usize>,
    /// The nodes that reach the API server.
    pub(super) api: BTreeSet<usize>,
    /// Since when each node answers for an address without a break.
    answered_since: BTreeMap<(usize, IpAddr), Duration>,
    /// The addresses that two nodes answer for by a hole that is named.
    excused: BTreeSet<IpAddr>,
    /// When two nodes were last cut from each other.
    cut_at: Duration,
    /// When they last were while the router could not show them to each other.
    hole_at: Duration,
    /// The nodes that serve most of what each address leads to.
    favoured: BTreeMap<IpAddr, BTreeSet<NodeId>>,
    /// Those that serve nothing of it.
    barred: BTreeMap<IpAddr, BTreeSet<NodeId>>,
    movable: Vec<AddressRange>,
    /// The nodes that have an interface for the addresses; none: all.
    equipped: Option<BTreeSet<usize>>,
}

struct Node {
    /// None: the process is dead.
    membership: Option<Membership>,
    frozen: bool,
    lives: u64,
    /// This node's seconds per second, in millionths.
    rate: u64,
    offset: Duration,
    terms: Terms,
    /// Until when a grant on terms that it no longer has may be kept by another node: it must not start before.
    bound_until: Duration,
    /// The answers of the kernel, by deadline on the node's clock; they outlive the process.
    kernel: BTreeMap<IpAddr, Duration>,
    /// The nodes in whose favour it gave an address up, each until its own deadline has passed.
    named: BTreeMap<IpAddr, BTreeSet<NodeId>>,
}

#[derive(PartialEq, Eq)]
struct Flight {
    at: Duration,
    number: u64,
    parcel: Parcel,
}

#[derive(Clone, PartialEq, Eq)]
enum Parcel {
    Heartbeat(Heartbeat),
    /// Whether a node answers for an address, and the links that the answer passes.
    Ask(usize, IpAddr, Vec<(usize, usize)>, usize),
    Sighting(usize, Sighting),
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl World {
    pub(super) fn new(nodes: usize, vips: u8) -> Self {
        Self::with_seed(nodes, vips, 1)
    }

    pub(super) fn with_seed(nodes: usize, vips: u8, seed: u64) -> Self {
        let mut world = Self {
            now: Duration::from_secs(10),
            nodes: Vec::new(),
            vips: (0..vips)
                .map(|it| Ipv4Addr::new(192, 168, 2, 200 + it).into())
                .collect(),
            wire: BinaryHeap::new(),
            count: 0,
            cuts: BTreeSet::new(),
            random: seed | 1,
            loss: 0,
            delay: TICK,
            rivals: Vec::new(),
            recorded: Vec::new(),
            routed: false,
            hairpin: true,
            lease: None,
            api: BTreeSet::new(),
            answered_since: BTreeMap::new(),
            excused: BTreeSet::new(),
            cut_at: Duration::ZERO,
            hole_at: Duration::ZERO,
            favoured: BTreeMap::new(),
            barred: BTreeMap::new(),
            movable: Vec::new(),
            equipped: None,
        };
        for _ in 0..nodes {
            let node = Node {
                membership: None,
                frozen: false,
                lives: 1000,
                rate: 992_000 + world.roll(16_000),
                offset: Duration::from_millis(world.roll(1_000_000)),
                terms: Terms::default(),
                bound_until: Duration::ZERO,
                kernel: BTreeMap::new(),
                named: BTreeMap::new(),
            };
            world.nodes.push(node);
        }
        for node in 0..nodes {
            world.start(node);
        }
        world
    }

    /// Two nodes and a router.
    pub(super) fn pair(vips: u8, seed: u64) -> Self {
        let mut world = Self::with_seed(2, vips, seed);
        world.routed = true;
        for node in 0..2 {
            world.kill(node);
            world.start(node);
        }
        world
    }

    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            self.now += TICK;
            self.arrive();
            for index in 0..self.nodes.len() {
                let now = self.clock(index);
                let node = &mut self.nodes[index];
                if let (Some(membership), false) = (&mut node.membership, node.frozen)
                    && membership.next_wakeup() <= now
                {
                    membership.advance(now);
                }
                self.arbitrate(index);
                self.follow(index);
            }
            self.judge();
        }
    }

    pub(super) fn kill(&mut self, index: usize) {
        self.nodes[index].membership = None;
        self.nodes[index].frozen = false;
    }

    /// What keeps a node from answering.
    pub(super) fn hindrance(&self, index: usize) -> Option<super::super::pair::Hindrance> {
        let now = self.clock(index);
        self.nodes[index].membership.as_ref()?.hindrance(now)
    }

    pub(super) fn start(&mut self, index: usize) {
        let leaves = self.nodes[index]
            .membership
            .as_ref()
            .is_some_and(|it| it.scene.serving == Serving::Nothing);
        if self.nodes[index].membership.is_some() && !leaves {
            return;
        }
        // Who is ending has the settings that it had when it began to.
        let node = &mut self.nodes[index];
        let former = node.membership.take().map(|it| it.scene.terms);
        if let Some(former) = former.filter(|it| *it != node.terms) {
            node.bound_until = node.bound_until.max(self.now + former.grant() * 2);
        }
        if self.now < node.bound_until {
            return;
        }
        let now = self.clock(index);
        let scene = self.scene(index, self.nodes[index].terms);
        let node = &mut self.nodes[index];
        node.lives += 1;
        node.frozen = false;
        let identity = Identity {
            node: id(index),
            incarnation: node.lives,
        };
        node.membership = Some(Membership::new(now, identity, scene));
    }

    /// Gives a node other settings, also while it runs.
    pub(super) fn set_terms(&mut self, index: usize, terms: Terms) {
        let now = self.clock(index);
        let scene = self.scene(index, terms);
        let node = &mut self.nodes[index];
        node.bound_until = node.bound_until.max(self.now + node.terms.grant() * 2);
        node.terms = terms;
        if let (Some(membership), false) = (&mut node.membership, node.frozen)
            && membership.scene.serving != Serving::Nothing
        {
            membership.update(now, scene);
        }
        self.follow(index);
    }

    /// Adds an address.
    pub(super) fn add_vip(&mut self, vip: IpAddr) {
        self.vips.push(vip);
        for node in 0..self.nodes.len() {
            self.set_terms(node, self.nodes[node].terms);
        }
    }

    /// All addresses lead to endpoints of one node from now on.
    pub(super) fn favour(&mut self, index: usize) {
        let only = BTreeSet::from([id(index)]);
        let vips = self.vips.iter();
        self.favoured = vips.map(|vip| (*vip, only.clone())).collect();
        for node in 0..self.nodes.len() {
            self.set_terms(node, self.nodes[node].terms);
        }
    }

    /// All addresses lead to endpoints of one node, and to nothing else, from now on.
    pub(super) fn serve_only_at(&mut self, index: usize) {
        let others = (0..self.nodes.len()).filter(|it| *it != index).map(id);
        let others: BTreeSet<NodeId> = others.collect();
        let vips = self.vips.iter();
        self.barred = vips.map(|vip| (*vip, others.clone())).collect();
        self.favour(index);
    }

    /// Only these nodes have an interface for the addresses from now on.
    pub(super) fn equip(&mut self, nodes: &[usize]) {
        self.equipped = Some(nodes.iter().copied().collect());
        for node in 0..self.nodes.len() {
            self.set_terms(node, self.nodes[node].terms);
        }
    }

    /// Which addresses are set aside when another machine has them.
    pub(super) fn move_from(&mut self, movable: &[&str]) {
        let ranges = movable.iter().map(|it| it.parse().unwrap());
        self.movable = ranges.collect();
        for node in 0..self.nodes.len() {
            self.set_terms(node, self.nodes[node].terms);
        }
    }

    /// A node finds that another machine has the first address.
    pub(super) fn set_aside(&mut self, index: usize) {
        let vip = self.vips[0];
        let membership = self.nodes[index].membership.as_mut().unwrap();
        membership.set_aside(vip, Mac([2, 0, 0, 0, 0, 0x66]));
    }

    /// A process hands its state over to the next one of its node, which goes on with it after a pause.
    pub(super) fn succeed(&mut self, index: usize, pause: Duration) {
        let node = &mut self.nodes[index];
        let Some(past) = node.membership.as_ref().filter(|_| !node.frozen) else {
            return;
        };
        if past.scene.serving == Serving::Nothing {
            return;
        }
        let terms = past.scene.terms;
        let past = past.export();
        node.membership = None;
        self.run(pause);
        let now = self.clock(index);
        let scene = self.scene(index, terms);
        self.nodes[index].membership = Some(Membership::resume(now, past, scene));
        self.follow(index);
    }

    /// How many addresses each node knows as set aside.
    pub(super) fn aside(&self) -> Vec<usize> {
        let nodes = self.nodes.iter().map(|it| it.membership.as_ref());
        nodes
            .map(|it| it.map_or(0, |it| it.aside().len()))
            .collect()
    }

    fn scene(&self, index: usize, terms: Terms) -> Scene {
        let nodes: BTreeSet<NodeId> = (0..self.nodes.len()).map(id).collect();
        let is_fit = self.equipped.as_ref().is_none_or(|it| it.contains(&index));
        let (fitness, serving) = if is_fit {
            (Fitness::Fit, Serving::Everything)
        } else {
            (Fitness::Unfit, Serving::Part)
        };
        Scene {
            voters: nodes.iter().copied().take(VOTERS_MAX).collect(),
            nodes,
            vips: self.vips.iter().map(|vip| (*vip, fitness)).collect(),
            serving,
            terms,
            favoured: self.favoured.clone(),
            barred: self.barred.clone(),
            movable: self.movable.clone(),
            witnesses: self
                .routed
                .then_some([192, 168, 2, 1].into())
                .into_iter()
                .collect(),
            ..Scene::default()
        }
    }

    /// The next life of a node will be known by a lower number than the ones before.
    pub(super) fn forget_lives(&mut self, index: usize) {
        self.nodes[index].lives = 1;
    }

    pub(super) fn freeze(&mut self, index: usize) {
        self.nodes[index].frozen = true;
    }

    /// Heartbeats that came meanwhile waited in the socket and are read before anything else.
    pub(super) fn thaw(&mut self, index: usize) {
        self.nodes[index].frozen = false;
        self.arrive();
        self.follow(index);
    }

    pub(super) fn leave(&mut self, index: usize) {
        let now = self.clock(index);
        let node = &mut self.nodes[index];
        if let (Some(membership), false) = (&mut node.membership, node.frozen) {
            membership.leave(now);
        }
        self.follow(index);
    }

    pub(super) fn cut_one_way(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub(super) fn isolate(&mut self, node: usize) {
        for other in (0..self.nodes.len()).chain([ROUTER]) {
            self.cuts.insert((node, other));
            self.cuts.insert((other, node));
        }
    }

    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.loss = 0;
        self.delay = TICK;
    }

    /// Every heartbeat that was sent since the start.
    pub(super) fn recorded(&self) -> Vec<Heartbeat> {
        self.recorded.clone()
    }

    pub(super) fn deliver(&mut self, heartbeat: &Heartbeat) {
        let Some(index) = (0..self.nodes.len()).find(|it| id(*it) == heartbeat.to) else {
            return;
        };
        let now = self.clock(index);
        if let Some(membership) = &mut self.nodes[index].membership {
            membership.hear(now, heartbeat);
        }
        self.follow(index);
    }

    /// How many nodes live, as far as the voters have told a node.
    pub(super) fn heard_by(&self, index: usize) -> usize {
        let membership = self.nodes[index].membership.as_ref();
        membership.map_or(0, |it| it.picture.alive().len())
    }

    /// The addresses that nobody answers for.
    pub(super) fn unowned(&self) -> usize {
        self.owners().values().filter(|it| it.is_none()).count()
    }

    pub(super) fn owners(&self) -> BTreeMap<IpAddr, Option<usize>> {
        let owner = |vip| (0..self.nodes.len()).find(|it| self.answers(*it, vip));
        self.vips.iter().map(|vip| (*vip, owner(*vip))).collect()
    }

    pub(super) fn loads(&self) -> Vec<usize> {
        let load = |node| {
            self.vips
                .iter()
                .filter(|vip| self.answers(node, **vip))
                .count()
        };
        (0..self.nodes.len()).map(load).collect()
    }

    fn answers(&self, index: usize, vip: IpAddr) -> bool {
        let until = self.nodes[index].kernel.get(&vip);
        until.is_some_and(|until| *until > self.clock(index))
    }

    fn clock(&self, index: usize) -> Duration {
        let node = &self.nodes[index];
        let micros = u64::try_from(self.now.as_micros()).unwrap() * node.rate / 1_000_000;
        Duration::from_micros(micros) + node.offset
    }

    /// Hands out what has arrived; a frozen node's share stays in its socket.
    fn arrive(&mut self) {
        let mut waiting = Vec::new();
        while self.wire.peek().is_some_and(|it| it.at <= self.now) {
            let Some(flight) = self.wire.pop() else { break };
            let to = match &flight.parcel {
                Parcel::Heartbeat(it) => (0..self.nodes.len()).find(|node| id(*node) == it.to),
                Parcel::Ask(..) => None,
                Parcel::Sighting(to, _) => Some(*to),
            };
            if to.is_some_and(|it| self.nodes[it].frozen) {
                waiting.push(flight);
                continue;
            }
            match flight.parcel {
                Parcel::Heartbeat(heartbeat) => self.deliver(&heartbeat),
                // The kernel answers, whatever the process does.
                Parcel::Ask(node, vip, back, asker) => {
                    if self.answers(node, vip) {
                        self.fly(&back, Parcel::Sighting(asker, Sighting::Owner(vip)));
                    }
                }
                Parcel::Sighting(node, sighting) => {
                    let now = self.clock(node);
                    if let Some(membership) = &mut self.nodes[node].membership {
                        membership.sight(now, sighting);
                    }
                    self.follow(node);
                }
            }
        }
        self.wire.extend(waiting);
    }

    /// Lets something pass some links, one after the other, if none is cut.
    fn fly(&mut self, links: &[(usize, usize)], parcel: Parcel) {
        if links.iter().any(|link| self.cuts.contains(link)) {
            return;
        }
        // Neighbours are asked on the LAN itself; what delays heartbeats is a busy node.
        let delay = self.delay.min(Duration::from_millis(5));
        let jitter = u64::try_from(delay.as_micros()).unwrap() + 1;
        let at = self.now + Duration::from_micros(self.roll(jitter));
        self.count += 1;
        self.wire.push(Flight {
            at,
            number: self.count,
            parcel,
        });
    }

    fn ask(&mut self, from: usize, question: Question) {
        match question {
            Question::Witness(address) => {
                let links = [(from, ROUTER), (ROUTER, from)];
                self.fly(&links, Parcel::Sighting(from, Sighting::Witness(address)));
            }
            Question::Owner(vip) => {
                let other = 1 - from;
                let ask = |back| Parcel::Ask(other, vip, back, from);
                self.fly(&[(from, other)], ask(vec![(other, from)]));
                if self.hairpin {
                    let there = [(from, ROUTER), (ROUTER, other)];
                    self.fly(&there, ask(vec![(other, ROUTER), (ROUTER, from)]));
                }
            }
        }
    }

    /// The arbiter: whoever asks first has the Lease until both are on good terms again.
    fn arbitrate(&mut self, index: usize) {
        let now = self.clock(index);
        let node = &mut self.nodes[index];
        let (Some(membership), false) = (&mut node.membership, node.frozen) else {
            return;
        };
        let wants = membership.wants_arbiter(now);
        if !wants && self.lease == Some(index) && self.api.contains(&index) {
            self.lease = None;
        }
        let verdict = if !wants || !self.api.contains(&index) {
            Verdict::None
        } else if *self.lease.get_or_insert(index) == index {
            Verdict::Mine
        } else {
            Verdict::Other
        };
        membership.judge(now, verdict);
    }

    /// Does for a node what its shell does: writes the kernel's answers, sends.
    fn follow(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let (Some(membership), false) = (&mut node.membership, node.frozen) else {
            return;
        };
        let kernel = membership.holdings().map(|it| (it.vip, it.until)).collect();
        let before = std::mem::replace(&mut node.kernel, kernel);
        let won = node.kernel.keys().filter(|vip| !before.contains_key(vip));
        let won: Vec<IpAddr> = won.copied().collect();
        for (vip, candidate) in &membership.candidates {
            if let super::State::Releasing { to, .. } = candidate.state {
                node.named.entry(*vip).or_default().insert(to);
            }
        }
        let sent: Vec<Heartbeat> = std::iter::from_fn(|| membership.poll()).collect();
        let questions: Vec<Question> = std::iter::from_fn(|| membership.poll_question()).collect();
        for question in questions {
            self.ask(index, question);
        }
        let told = if self.routed { won } else { Vec::new() };
        for vip in told {
            // It is told to all neighbours.
            let sighting = Parcel::Sighting(1 - index, Sighting::Owner(vip));
            self.fly(&[(index, 1 - index)], sighting);
        }
        for heartbeat in sent {
            self.recorded.push(heartbeat.clone());
            self.send(index, heartbeat);
        }
    }

    fn send(&mut self, from: usize, heartbeat: Heartbeat) {
        let to = (0..self.nodes.len())
            .find(|it| id(*it) == heartbeat.to)
            .unwrap();
        if self.cuts.contains(&(from, to)) || self.roll(100) < u64::from(self.loss) {
            return;
        }
        let jitter = u64::try_from(self.delay.as_micros()).unwrap() + 1;
        // Two copies now and then, and every order is possible.
        let copies = if self.roll(20) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.now + Duration::from_micros(self.roll(jitter));
            self.count += 1;
            self.wire.push(Flight {
                at,
                number: self.count,
                parcel: Parcel::Heartbeat(heartbeat.clone()),
            });
        }
    }

    /// The holes that the rules of two nodes have and name: into them two nodes fall while they are cut from each other, and
    /// they are out of them soon after they are not.
    fn is_excused(&mut self, one: usize, other: usize, vip: IpAddr) -> bool {
        if !self.routed {
            return false;
        }
        let asks_arbiter = self.api.contains(&one) && self.api.contains(&other);
        let since = |node| self.answered_since[&(node, vip)];
        let at_once = since(one).abs_diff(since(other)) < AT_ONCE;
        let unheard = self.now - self.cut_at <= UNHEARD;
        let unshown = self.now - self.hole_at <= UNHEARD;
        if (unheard && at_once) || (unshown && !asks_arbiter) {
            self.excused.insert(vip);
        }
        self.excused.contains(&vip) && self.now - self.cut_at < MENDED
    }

    fn note_cut(&mut self) {
        let nodes = [(0, 1), (1, 0)];
        if nodes.iter().any(|it| self.cuts.contains(it)) {
            self.cut_at = self.now;
            if !self.hairpin {
                self.hole_at = self.now;
            }
        }
    }

    fn note_answers(&mut self) {
        for index in 0..self.nodes.len() {
            for vip in self.vips.clone() {
                if self.answers(index, vip) {
                    let now = self.now;
                    self.answered_since.entry((index, vip)).or_insert(now);
                } else {
                    self.answered_since.remove(&(index, vip));
                }
            }
        }
    }

    /// Looks for addresses that two nodes answer for.
    fn judge(&mut self) {
        self.note_answers();
        self.note_cut();
        for vip in &self.vips.clone() {
            let owners: Vec<usize> = (0..self.nodes.len())
                .filter(|it| self.answers(*it, *vip))
                .collect();
            if owners.len() < 2 {
                self.excused.remove(vip);
            }
            if let [only] = owners.as_slice() {
                // What it was given away to is over; a frozen process can not say so itself.
                let node = &mut self.nodes[*only];
                if node
                    .membership
                    .as_ref()
                    .is_some_and(|it| matches!(it.candidates[vip].state, super::State::Held { .. }))
                {
                    node.named.remove(vip);
                }
            }
            for (place, one) in owners.iter().enumerate() {
                for other in owners.iter().skip(place + 1) {
                    let has_named = |from: usize, to: usize| {
                        let named = self.nodes[from].named.get(vip);
                        named.is_some_and(|it| it.contains(&id(to)))
                    };
                    let planned = has_named(*one, *other) || has_named(*other, *one);
                    let is_excused = planned || self.is_excused(*one, *other, *vip);
                    if !is_excused && self.rivals.len() < RIVALS_MAX {
                        self.rivals.push((*vip, *one, *other));
                    }
                }
            }
        }
    }

    fn roll(&mut self, below: u64) -> u64 {
        // Xorshift64: the history must be the same at every run of the same seed.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }
}

fn id(index: usize) -> NodeId {
    NodeId(100 + u64::try_from(index).unwrap())
}
