//! The datapath and the announcer of this node, and what holds them together. No thread, no channel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use gateway_announce::membership::heartbeat::Heartbeat;
use gateway_announce::{Announcer, Command, Decision, Ownership, View};
use gateway_control::Published;
use gateway_control::leader::Candidacy;
use gateway_ir::{
    DatapathMode, Gate, GateReport, Generation, Interface, ListenerFailure, Snapshot,
};
use gateway_l4::{Counters, Datapath};
use nix::time::{ClockId, clock_gettime};
use tracing::{debug, info, warn};

use super::frames::Frames;
use super::groups::Groups;
use super::membership::Company;
use super::{Leave, Order, Settings};
use crate::board::{Board, Owner};
use crate::links;

/// What failed is tried again after this time, if nothing happens before.
const RETRY: Duration = Duration::from_secs(5);

/// A hand-over takes some milliseconds; without an answer a lease ends by itself within this time.
const LEAVE_MAX: Duration = Duration::from_millis(400);

pub(super) struct Node {
    settings: Settings,
    board: Arc<Board>,
    datapath: Datapath,
    announcer: Announcer,
    frames: Frames,
    groups: Groups,
    company: Company,
    /// Who waits for this node to have handed over everything, and until when.
    leaving: Option<(Duration, Sender<()>)>,
    present: Vec<Interface>,
    attached: BTreeMap<u32, Attached>,
    published: Option<Arc<Published>>,
    /// What the maps say.
    programmed: Option<Generation>,
    /// Why they do not say what is wanted.
    failure: Option<String>,
    /// When a failed attempt is repeated, on the monotonic clock.
    retry: Option<Duration>,
    /// What has been said already.
    notes: BTreeSet<String>,
    owners: Vec<Ownership>,
}

/// An interface that the programs are attached to.
struct Attached {
    interface: Interface,
    mode: DatapathMode,
}

impl Node {
    /// Opens everything that needs rights.
    pub(super) fn open(
        settings: Settings,
        board: Arc<Board>,
        orders: Sender<Order>,
    ) -> anyhow::Result<Self> {
        let datapath = Datapath::open(&gateway_l4::Settings {
            bpf_root: settings.bpf_root.clone(),
            node: settings.node.clone(),
        })?;
        let frames = Frames::open()?;
        let announcer = gateway_announce::Settings {
            epoch: time_of_day().saturating_sub(now()),
            ..gateway_announce::Settings::new(settings.node.clone())
        };
        let company = Company::new(settings.node.clone(), orders, &board);
        Ok(Self {
            settings,
            board,
            datapath,
            announcer: Announcer::new(announcer),
            frames,
            groups: Groups::open(),
            company,
            leaving: None,
            present: Vec::new(),
            attached: BTreeMap::new(),
            published: None,
            programmed: None,
            failure: None,
            retry: None,
            notes: BTreeSet::new(),
            owners: Vec::new(),
        })
    }

    /// How long there is nothing to do.
    pub(super) fn wait(&self) -> Duration {
        let next = self.announcer.next_wakeup().into_iter().chain(self.retry);
        let next = next.chain(self.leaving.as_ref().map(|it| it.0));
        let next = next.min().unwrap_or(Duration::MAX);
        next.saturating_sub(now()).min(Duration::from_secs(60))
    }

    pub(super) fn take(&mut self, published: Arc<Published>) {
        self.published = Some(published);
        self.reconcile();
    }

    pub(super) fn follow(&mut self, interfaces: Vec<Interface>) {
        self.present = interfaces;
        self.reconcile();
    }

    pub(super) fn attach_proxy(&mut self, sockets: &[OwnedFd]) -> anyhow::Result<()> {
        let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        Ok(self.datapath.attach_proxy(&sockets)?)
    }

    pub(super) fn counters(&self) -> Option<Counters> {
        let counters = self.datapath.counters();
        counters
            .inspect_err(|error| debug!(%error, "counters not read"))
            .ok()
    }

    /// Does what the announcer says is due, and what failed before.
    pub(super) fn advance(&mut self) {
        let now = now();
        if self.retry.is_some_and(|retry| retry <= now) {
            self.reconcile();
        }
        self.announcer.run(self.board.running().0);
        self.announcer.advance(now);
        self.execute();
        self.finish_leaving(now);
    }

    /// A heartbeat has come. The clock is read after that: what it grants must not begin before.
    pub(super) fn hear(&mut self, heartbeat: &Heartbeat) {
        self.announcer.hear(now(), heartbeat);
    }

    /// Hands over every VIP; `done` is told when this node answers for none.
    pub(super) fn leave(&mut self, done: Sender<()>) {
        let now = now();
        self.published = None;
        self.retry = None;
        self.announcer.leave(now);
        self.leaving = Some((now + LEAVE_MAX, done));
        self.execute();
        self.finish_leaving(now);
    }

    fn finish_leaving(&mut self, now: Duration) {
        let is_over = |until: &Duration| self.announcer.is_silent() || *until <= now;
        if let Some((_, done)) = self.leaving.take_if(|(until, _)| is_over(until)) {
            self.silence();
            super::tell(done.send(()));
        }
    }

    /// Stops answering for every VIP.
    pub(super) fn silence(&mut self) {
        self.published = None;
        self.retry = None;
        self.announcer.update(
            now(),
            View {
                vips: &[],
                pools: &[],
                interfaces: &[],
                peers: &[],
                part: None,
            },
        );
        self.execute();
    }

    pub(super) fn end(mut self, leave: Leave) {
        self.silence();
        match leave {
            Leave::Pins => {}
            Leave::Nothing => {
                if let Err(error) = self.datapath.remove() {
                    warn!(
                        error = chain(&error),
                        "something of the datapath stays behind"
                    );
                }
            }
        }
    }

    /// Brings attachments, maps and announcements to what is wanted now, and reports.
    fn reconcile(&mut self) {
        let Some(published) = self.published.clone() else {
            return;
        };
        self.retry = None;
        let snapshot = &published.snapshot;
        // The guard is in force before an interface is attached, and before a route makes the kernel want to answer.
        let failure = self.apply(&published);
        let mut notes = self.attach(snapshot);
        let (part, note) = self.company.follow(&published, self.board.running());
        notes.extend(note);
        let attached = self.attached.values();
        let interfaces: Vec<_> = attached.map(|it| it.interface.clone()).collect();
        self.announcer.update(
            now(),
            View {
                vips: &snapshot.vips,
                pools: &snapshot.pools,
                interfaces: &interfaces,
                peers: &published.nodes,
                part,
            },
        );
        self.execute();
        self.failure = failure.clone();
        self.report(&published);
        if let Some(failure) = failure {
            notes.insert(format!("gate 2 runs an older configuration: {failure}"));
        }
        if !notes.is_empty() {
            self.retry = Some(now() + RETRY);
        }
        self.say(notes);
    }

    /// Makes the maps say what the snapshot says, if they do not yet; gives what went wrong.
    fn apply(&mut self, published: &Published) -> Option<String> {
        if self.programmed == Some(published.generation) {
            return None;
        }
        match self.datapath.apply(&published.snapshot) {
            Ok(()) => {
                self.programmed = Some(published.generation);
                None
            }
            Err(error) => Some(chain(&error)),
        }
    }

    /// Attaches to the interfaces that are wanted, detaches from the others; gives what does not work.
    fn attach(&mut self, snapshot: &Snapshot) -> BTreeSet<String> {
        let choice = links::choose(&self.settings.interfaces, snapshot, &self.present);
        let missing = choice.missing.iter().map(|name| {
            format!("interface {name} is not there or not up; it is used as soon as it is")
        });
        let mut notes: BTreeSet<_> = missing.collect();
        let wanted: BTreeSet<_> = choice.interfaces.iter().map(|it| it.index).collect();
        for (index, gone) in self
            .attached
            .extract_if(.., |index, _| !wanted.contains(index))
        {
            info!(interface = gone.interface.name, "detached");
            if let Err(error) = self.datapath.detach(index) {
                debug!(error = chain(&error), "detached with difficulty");
            }
        }
        let mode = snapshot.datapath.mode;
        for interface in choice.interfaces {
            let last = self.attached.get(&interface.index);
            if last.is_some_and(|last| last.interface == interface && last.mode == mode) {
                continue;
            }
            match self.datapath.attach(&interface, mode) {
                Ok(_hook) => {
                    let attached = Attached { mode, interface };
                    self.attached.insert(attached.interface.index, attached);
                }
                Err(error) => {
                    self.attached.remove(&interface.index);
                    notes.insert(format!("{}: {}", interface.name, chain(&error)));
                }
            }
        }
        notes
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
                    if let Err(error) = self.datapath.answer(address, interface, mac, until) {
                        warn!(%address, error = chain(&error), "address not answered");
                    }
                }
                Command::Silence { address, interface } => {
                    if let Err(error) = self.datapath.silence(address, interface) {
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
        let heard = self.company.note(&self.announcer.heard(now()));
        self.board.heard(heard);
        self.board.stand(if self.announcer.hears_all() {
            Candidacy::Stands
        } else {
            Candidacy::Aside
        });
        self.show_owners();
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
        let owners = self.announcer.owners();
        if owners == self.owners {
            return;
        }
        for owner in owners.iter().filter(|it| !self.owners.contains(it)) {
            match owner.decision {
                Decision::Announce => {
                    info!(vip = %owner.vip, interfaces = ?owner.interfaces, "announced");
                }
                Decision::Yield(node) => {
                    let node = self.company.name(node);
                    info!(vip = %owner.vip, ?node, "announced by another node");
                }
                Decision::Withhold(reason) => {
                    warn!(vip = %owner.vip, %reason, "not announced");
                }
            }
        }
        self.company.count(&self.owners, &owners);
        self.owners = owners;
        let shown = self.owners.iter().map(|it| self.owner(it)).collect();
        self.board.owners(shown);
        if let Some(published) = self.published.clone() {
            self.report(&published);
        }
    }

    fn owner(&self, ownership: &Ownership) -> Owner {
        let mut vips = self.published.iter().flat_map(|it| &it.snapshot.vips);
        let vip = vips.find(|it| it.address == ownership.vip);
        let (node, withheld) = match ownership.decision {
            Decision::Announce => (Some(self.settings.node.clone()), None),
            Decision::Yield(node) => (self.company.name(node), None),
            Decision::Withhold(reason) => (None, Some(reason.to_string())),
        };
        let since = ownership.since;
        Owner {
            address: ownership.vip,
            gateway: vip.map(|it| it.gateway.to_string()),
            pool: vip.map(|it| it.pool.clone()),
            node,
            since_ms: since.map(|it| (time_of_day() + it).saturating_sub(now()).as_millis()),
            interfaces: ownership.interfaces.clone(),
            withheld,
        }
    }

    fn report(&self, published: &Published) {
        let services = &published.snapshot.services;
        let withheld = self.owners.iter().filter_map(|it| match it.decision {
            Decision::Announce | Decision::Yield(_) => None,
            Decision::Withhold(reason) => Some((it.vip, reason)),
        });
        let silent = withheld.flat_map(|(vip, reason)| {
            let listeners = services.iter().filter(move |it| it.vip == vip);
            listeners.map(move |it| ListenerFailure {
                listener: it.listener.clone(),
                message: format!("{vip} is not announced: {reason}"),
            })
        });
        let announce = GateReport {
            programmed: Some(published.generation),
            off: None,
            failures: sorted(silent),
        };
        let refused = services.iter().zip(self.failure.iter().cycle());
        let refused = refused.map(|(service, failure)| ListenerFailure {
            listener: service.listener.clone(),
            message: failure.clone(),
        });
        let steer = GateReport {
            programmed: self.programmed,
            off: None,
            failures: sorted(refused),
        };
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

/// The kernel's monotonic clock, which the deadlines in its maps are in.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .unwrap_or_default()
}

/// The time of day, which differs from life to life of a machine, as the monotonic clock does not.
fn time_of_day() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME)
        .map(Duration::from)
        .unwrap_or_default()
}

/// An error with its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
