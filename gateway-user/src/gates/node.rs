//! The announcer of this node and gate 2, and what holds them together. No thread, no channel.

mod ending;
mod succession;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use gateway_announce::membership::heartbeat::Heartbeat;
use gateway_announce::membership::pair::Verdict;
use gateway_announce::{Announcer, Command, Decision, ForeignClaim, Ownership, Seen, View};
use gateway_control::leader::Candidacy;
use gateway_control::leader::arbiter::Need;
use gateway_control::{Cordon, Published};
use gateway_ir::{Gate, GateReport, Generation, Interface, ListenerFailure, Mac};
use gateway_l4::{Answers, Counters};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use self::succession::Beginning;
use super::clock::{now, time_of_day};
use super::frames::Frames;
use super::groups::Groups;
use super::lookout::{Lookout, witnesses};
use super::membership::Company;
use super::showing;
use super::steering::{Steered, Steering, Wanted};
use super::{Order, Settings};
use crate::board::{Board, Owner};
use crate::interfaces::Present;
use crate::telemetry::chain;

/// What failed is tried again after this time, if nothing happens before.
const RETRY: Duration = Duration::from_secs(5);

/// How often it is looked whether another machine claims an address of ours.
const CLAIMS_DISTANCE: Duration = Duration::from_millis(50);
/// How often at most it is shown whom this node hears: it may be hundreds, each of which speaks ten times a second.
const MEMBERS_DISTANCE: Duration = Duration::from_millis(20);

pub(super) struct Node {
    settings: Settings,
    board: Arc<Board>,
    steering: Steering,
    /// The proxy's sockets, for when gate 2 comes back from another process.
    proxy: Vec<OwnedFd>,
    beginning: Beginning,
    answers: Answers,
    announcer: Announcer,
    frames: Frames,
    groups: Groups,
    company: Company,
    orders: Sender<Order>,
    /// Reads what one of two nodes waits for; none: there are more, or fewer.
    lookout: Option<Lookout>,
    /// When claims of other machines are looked at again.
    next_claims: Duration,
    next_members: Duration,
    /// Who waits for this node to have handed over everything, and until when.
    leaving: Option<(Duration, Sender<()>)>,
    present: Present,
    /// What is wanted.
    published: Option<Arc<Published>>,
    /// What gate 2 has taken over, as far as it could, and gate 1 announces.
    running: Option<Arc<Published>>,
    /// Whether this node answers only where no other can.
    cordon: Cordon,
    /// The interfaces that have programs and are up.
    attached: Vec<Interface>,
    /// What the maps say.
    programmed: Option<Generation>,
    /// Why they do not say what is wanted.
    failure: Option<String>,
    /// When a failed attempt is repeated, on the monotonic clock.
    retry: Option<Duration>,
    /// What has been said already.
    notes: BTreeSet<String>,
    owners: Vec<Ownership>,
    /// Addresses that other machines have, as all nodes know.
    aside: BTreeMap<IpAddr, Mac>,
}

impl Node {
    /// Opens everything that needs rights. With the lock of a process that still speaks for this node, gate 1 waits for
    /// [`Self::inherit`].
    pub(super) fn open(
        settings: Settings,
        lock: Option<OwnedFd>,
        board: Arc<Board>,
        orders: Sender<Order>,
    ) -> anyhow::Result<Self> {
        let done = orders.clone();
        let beginning = match &lock {
            Some(_shared) => Beginning::Awaited(None),
            None => Beginning::Begun,
        };
        let (steering, answers) = Steering::start(&settings, lock, move |steered| {
            // Nobody waits for it any more when the process is ending.
            drop(done.send(Order::Steered(Box::new(steered))));
        })?;
        let frames = Frames::open()?;
        let announcer = gateway_announce::Settings {
            epoch: time_of_day().saturating_sub(now()),
            ..gateway_announce::Settings::new(settings.node.clone())
        };
        let company = Company::new(settings.node.clone(), orders.clone(), &board);
        Ok(Self {
            settings,
            board,
            steering,
            proxy: Vec::new(),
            beginning,
            answers,
            announcer: Announcer::new(announcer),
            frames,
            groups: Groups::open(),
            company,
            orders,
            lookout: None,
            next_claims: Duration::ZERO,
            next_members: Duration::ZERO,
            leaving: None,
            present: Present::default(),
            published: None,
            running: None,
            cordon: Cordon::Open,
            attached: Vec::new(),
            programmed: None,
            failure: None,
            retry: None,
            notes: BTreeSet::new(),
            owners: Vec::new(),
            aside: BTreeMap::new(),
        })
    }

    /// How long there is nothing to do.
    pub(super) fn wait(&self) -> Duration {
        let next = self.announcer.next_wakeup().into_iter().chain(self.retry);
        let next = next.chain(self.leaving.as_ref().map(|it| it.0));
        let next = next.min().unwrap_or(Duration::MAX);
        next.saturating_sub(now()).min(Duration::from_secs(60))
    }

    pub(super) fn take(&mut self, published: Arc<Published>, done: oneshot::Sender<()>) {
        self.published = Some(published);
        self.reconcile(vec![done]);
    }

    pub(super) fn follow(&mut self, interfaces: Present) {
        self.present = interfaces;
        self.reconcile(Vec::new());
    }

    /// Answers from now on only where no other node can, or for whatever there is.
    pub(super) fn heed(&mut self, cordon: Cordon) {
        self.cordon = cordon;
        self.reconcile(Vec::new());
    }

    pub(super) fn attach_proxy(
        &mut self,
        sockets: Vec<OwnedFd>,
        answer: Sender<anyhow::Result<()>>,
    ) {
        let kept: io::Result<_> = sockets.iter().map(OwnedFd::try_clone).collect();
        self.proxy = kept.unwrap_or_default();
        self.steering.attach_proxy(sockets, answer);
    }

    pub(super) fn counters(&self, answer: Sender<Counters>) {
        self.steering.counters(answer);
    }

    /// Does what the announcer says is due, and what failed before.
    pub(super) fn advance(&mut self) {
        let now = now();
        if self.retry.is_some_and(|retry| retry <= now) {
            self.reconcile(Vec::new());
        }
        self.announcer.run(self.board.running().0);
        self.announcer.advance(now);
        self.look_for_claims(now);
        self.board
            .want_arbiter(if self.announcer.wants_arbiter(now) {
                Need::Decision
            } else {
                Need::Nothing
            });
        self.execute();
        self.finish_leaving(now);
    }

    /// A heartbeat has come. The clock is read after that: what it grants must not begin before.
    pub(super) fn hear(&mut self, heartbeat: &Heartbeat) {
        self.announcer.hear(now(), heartbeat);
    }

    /// An answer has come that one of two nodes waits for.
    pub(super) fn see(&mut self, seen: Seen) {
        self.announcer.see(now(), seen);
    }

    /// The arbiter between two nodes has spoken.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        self.announcer.judge(now(), verdict);
    }

    /// Has gate 2 bring attachments and maps to what is wanted now.
    fn reconcile(&mut self, waiting: Vec<oneshot::Sender<()>>) {
        let Some(published) = self.published.clone() else {
            return;
        };
        self.retry = None;
        let present = self.present.clone();
        self.steering.follow(Wanted {
            published,
            present,
            waiting,
        });
    }

    /// Takes note of what gate 2 is ready for.
    pub(super) fn steered(&mut self, steered: Steered) {
        self.steering.go_on();
        if self.published.is_none() {
            // Everything was handed over meanwhile.
            return;
        }
        if let Some(steered) = self.defer(steered) {
            self.announce(steered);
        }
    }

    /// Announces what gate 2 is ready for, and reports.
    fn announce(&mut self, steered: Steered) {
        let Steered {
            published,
            interfaces,
            mut notes,
            ..
        } = steered;
        self.programmed = steered.programmed;
        self.failure = steered.failure;
        let snapshot = &published.snapshot;
        let running = self.board.running();
        let (part, note) = self.company.follow(&published, running, self.cordon);
        notes.extend(note);
        let witnesses = witnesses(&self.present, &published, &interfaces);
        notes.extend(self.watch_answers(&published, &witnesses).err());
        self.announcer.update(
            now(),
            View {
                vips: &snapshot.vips,
                pools: &snapshot.pools,
                services: &snapshot.services,
                interfaces: &interfaces,
                peers: &published.nodes,
                rules: &snapshot.announce,
                witnesses: &witnesses,
                part,
            },
        );
        self.running = Some(Arc::clone(&published));
        self.execute();
        self.forget_all_but(interfaces);
        self.report(&published);
        if let Some(failure) = &self.failure {
            notes.insert(format!("gate 2 runs an older configuration: {failure}"));
        }
        if !notes.is_empty() {
            self.retry = Some(now() + RETRY);
        }
        self.say(notes);
        for waiting in steered.waiting {
            super::tell(waiting.send(()));
        }
    }

    /// One of two nodes listens for answers of the LAN; others need none.
    fn watch_answers(&mut self, published: &Published, witnesses: &[IpAddr]) -> Result<(), String> {
        let nodes: BTreeSet<_> = published
            .nodes
            .iter()
            .chain([&self.settings.node])
            .collect();
        if nodes.len() != 2 || witnesses.is_empty() {
            self.lookout = None;
        } else if self.lookout.is_none() {
            let orders = self.orders.clone();
            let opened = Lookout::open(move |seen| {
                // Nobody listens any more when the process is ending.
                drop(orders.send(Order::Seen(seen)));
            });
            let opened = opened.map_err(|error| format!("answers of witnesses: {error}"))?;
            self.lookout = Some(opened);
        }
        Ok(())
    }

    /// Other machines that say they have addresses of ours.
    fn look_for_claims(&mut self, now: Duration) {
        if now < self.next_claims || self.announcer.is_silent() {
            return;
        }
        self.next_claims = now + CLAIMS_DISTANCE;
        let claims = match self.answers.claims() {
            Ok(claims) => claims.into_iter(),
            Err(error) => return debug!(error = chain(&error), "claims are not read"),
        };
        let claims = claims.map(|it| ForeignClaim {
            address: it.address,
            interface: it.interface,
            mac: it.mac,
            seen: it.seen,
        });
        self.announcer.contest(now, &claims.collect::<Vec<_>>());
    }

    /// The kernel may give an index away again, so nothing stays behind on an interface that has no programs any more.
    fn forget_all_but(&mut self, attached: Vec<Interface>) {
        let gone = std::mem::replace(&mut self.attached, attached);
        for interface in gone {
            if self.attached.iter().any(|it| it.index == interface.index) {
                continue;
            }
            if let Err(error) = self.answers.forget(interface.index) {
                debug!(interface = interface.name, %error, "permissions stay until they expire");
            }
        }
    }

    /// Carries out what the announcer has decided.
    fn execute(&mut self) {
        while let Some(command) = self.announcer.poll() {
            match command {
                Command::Answer {
                    address,
                    interface,
                    mac,
                    until,
                } => {
                    self.listen(address, interface);
                    if let Err(error) = self.answers.answer(address, interface, mac, until) {
                        warn!(%address, error = chain(&error), "address not answered");
                    }
                }
                Command::Silence { address, interface } => {
                    if let Err(error) = self.answers.silence(address, interface) {
                        // The kernel falls silent by itself when the lease is over.
                        warn!(%address, error = chain(&error), "address not silenced");
                    }
                    if let IpAddr::V6(address) = address {
                        self.groups.leave(interface, address);
                    }
                }
                Command::Send { interface, frame } => {
                    if let Err(error) = self.frames.send(interface, &frame) {
                        debug!(interface, %error, "frame not sent");
                    }
                }
            }
        }
        while let Some(heartbeat) = self.announcer.poll_heartbeat() {
            self.company.send(&heartbeat);
        }
        self.show_members(now());
        self.board.stand(match self.beginning {
            Beginning::Begun if self.announcer.hears_all() => Candidacy::Stands,
            Beginning::Begun | Beginning::Awaited(_) => Candidacy::Aside,
        });
        self.show_owners();
    }

    /// Shows whom this node hears. What is too early for now is shown at the next beat, if not before.
    fn show_members(&mut self, now: Duration) {
        if now < self.next_members {
            return;
        }
        self.next_members = now + MEMBERS_DISTANCE;
        let heard = self.company.note(&self.announcer.heard(now));
        self.board.heard(heard);
        let offset = time_of_day().saturating_sub(now);
        self.board
            .meet(self.company.neighbors(&self.announcer.members(), offset));
    }

    /// Makes sure that questions about an IPv6 address come in on an interface.
    fn listen(&mut self, address: IpAddr, interface: u32) {
        if let IpAddr::V6(address) = address
            && let Err(error) = self.groups.join(interface, address)
        {
            warn!(%address, interface, %error, "solicitations may not come in: is IPv6 on there?");
        }
    }

    fn show_owners(&mut self) {
        let (owners, aside) = (self.announcer.owners(now()), self.announcer.aside());
        if owners == self.owners && aside == self.aside {
            return;
        }
        showing::log_aside(&self.aside, &aside);
        self.aside = aside;
        for owner in &owners {
            let last = self.owners.iter().find(|it| it.vip == owner.vip);
            let node = match owner.decision {
                Decision::Yield(node) => self.company.name(node),
                Decision::Announce | Decision::Withhold(_) => None,
            };
            showing::log(last, owner, node.as_ref());
        }
        self.company.count(&self.owners, &owners);
        self.owners = owners;
        self.board.owners(self.shown());
        // After the owners: who is told of a conflict should know whose address it was.
        self.board.set_aside(&self.aside);
        if let Some(running) = self.running.clone() {
            self.report(&running);
        }
    }

    /// The VIPs, and what is set aside instead of being one.
    fn shown(&self) -> Vec<Owner> {
        let is_vip = |it: &IpAddr| self.owners.iter().any(|owner| owner.vip == *it);
        let aside = self.aside.iter().filter(|(address, _)| !is_vip(address));
        let aside = aside.map(|(address, mac)| showing::aside(*address, *mac));
        let owners = self.owners.iter().map(|it| self.owner(it));
        owners.chain(aside).collect()
    }

    fn owner(&self, ownership: &Ownership) -> Owner {
        let mut vips = self.running.iter().flat_map(|it| &it.snapshot.vips);
        let vip = vips.find(|it| it.address == ownership.vip);
        let node = match ownership.decision {
            Decision::Announce => Some(self.settings.node.clone()),
            Decision::Yield(node) => self.company.name(node),
            Decision::Withhold(_) => None,
        };
        let offset = time_of_day().saturating_sub(now());
        showing::owner(ownership, vip, node, offset)
    }

    fn report(&self, published: &Published) {
        let services = &published.snapshot.services;
        let refused = services.iter().zip(self.failure.iter().cycle());
        let refused = refused.map(|(service, failure)| ListenerFailure {
            listener: service.listener.clone(),
            message: failure.clone(),
        });
        let steer = GateReport {
            programmed: self.programmed,
            failures: sorted(refused),
            ..GateReport::default()
        };
        let snapshot = &published.snapshot;
        let announce = showing::report(&self.owners, snapshot, published.generation, now());
        self.board.report(Gate::Announce, announce);
        self.board.report(Gate::Steer, steer);
    }

    /// Shows what does not work, and logs what is new in it.
    fn say(&mut self, notes: BTreeSet<String>) {
        for note in notes.difference(&self.notes) {
            warn!(note, "gates 1 and 2");
        }
        self.board.notes(notes.clone());
        self.notes = notes;
    }
}

fn sorted(failures: impl Iterator<Item = ListenerFailure>) -> Vec<ListenerFailure> {
    let sorted: BTreeSet<_> = failures.collect();
    sorted.into_iter().collect()
}
