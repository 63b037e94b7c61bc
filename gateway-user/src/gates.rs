//! Gates 1 and 2, on a thread each.
//!
//! Leases are short and must be renewed whatever else the process does, so nothing here waits for a runtime, nor for
//! gate 2. Gate 1's thread takes orders, does what the announcer says is due, and reports.

mod clock;
mod frames;
mod groups;
mod heartbeats;
mod lookout;
mod membership;
mod metrics;
mod node;
mod rights;
mod showing;
mod steering;
pub(crate) mod succession;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use gateway_announce::Seen;
use gateway_announce::membership::heartbeat::Heartbeat;
use gateway_announce::membership::pair::Verdict;
use gateway_control::{Cordon, Published};
use gateway_ir::NodeName;
use gateway_l4::Counters;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use self::metrics::Reader;
use self::node::Node;
pub(crate) use self::rights::missing_rights;
use self::steering::Steered;
use self::succession::{Bequest, Fate, Heir};
use crate::board::{Board, Part};
use crate::interfaces::Present;

/// How long a scrape waits for the counters.
const COUNTERS_TIMEOUT: Duration = Duration::from_secs(1);

/// How gates 1 and 2 run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) node: NodeName,
    pub(crate) bpf_root: PathBuf,
    /// The interfaces that the operator named; empty: the configuration decides.
    pub(crate) interfaces: Vec<String>,
}

/// The running gates.
#[derive(Debug)]
pub(crate) struct Gates {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

/// What stays behind when the gates end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Programs and maps: what flows, flows on.
    Pins,
    /// Nothing.
    Nothing,
}

#[derive(Debug)]
enum Order {
    Run(Arc<Published>, oneshot::Sender<()>),
    Interfaces(Present),
    Proxy(Vec<OwnedFd>, Sender<anyhow::Result<()>>),
    Counters(Sender<Counters>),
    Steered(Box<Steered>),
    Heartbeat(Box<Heartbeat>),
    Seen(Seen),
    Verdict(Verdict),
    Cordon(Cordon),
    Silence(Sender<()>),
    Lend(Sender<anyhow::Result<OwnedFd>>),
    TakeBack,
    Bequeath(Sender<Bequest>, Receiver<Fate>),
    Inherit(Box<Bequest>),
    End(Leave),
}

impl Gates {
    /// Opens the datapath and starts the thread.
    ///
    /// # Errors
    /// When the datapath cannot be opened: the error says what to do.
    pub(crate) fn start(settings: Settings, board: Arc<Board>) -> anyhow::Result<Self> {
        Self::open(settings, None, board)
    }

    /// The same beside a process that shares its lock: gate 2 follows at once, gate 1 from [`Self::inherit`] on.
    ///
    /// # Errors
    /// When the datapath cannot be opened.
    pub(crate) fn start_beside(
        settings: Settings,
        lock: OwnedFd,
        board: Arc<Board>,
    ) -> anyhow::Result<Self> {
        Self::open(settings, Some(lock), board)
    }

    fn open(settings: Settings, lock: Option<OwnedFd>, board: Arc<Board>) -> anyhow::Result<Self> {
        let (orders, inbox) = channel();
        let (sender, opened) = channel();
        let counters = orders.clone();
        let heartbeats = orders.clone();
        let owner = Arc::clone(&board);
        let thread =
            std::thread::Builder::new().name("gates".to_owned()).spawn(
                move || match Node::open(settings, lock, owner, heartbeats) {
                    Ok(node) => {
                        if sender.send(Ok(())).is_ok() {
                            run(node, &inbox);
                        }
                    }
                    Err(error) => drop(sender.send(Err(error))),
                },
            )?;
        opened
            .recv()
            .context("the thread of gates 1 and 2 ended")??;
        let read = move || {
            let (sender, answer) = channel();
            counters.send(Order::Counters(sender)).ok()?;
            answer.recv_timeout(COUNTERS_TIMEOUT).ok()
        };
        board.registry(Part::Datapath, Reader::registry(read));
        Ok(Self { orders, thread })
    }

    /// Hands over the proxy's sockets, one per worker.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn proxy(&self, sockets: Vec<OwnedFd>) -> anyhow::Result<()> {
        let (sender, answer) = channel();
        self.order(Order::Proxy(sockets, sender));
        answer.recv().context("the thread of gates 1 and 2 ended")?
    }

    /// Makes a publication the one that is run, as far as that goes: reports say what does not work. Returns at once; the
    /// receiver tells when it is done.
    pub(crate) fn run(&self, published: Arc<Published>) -> oneshot::Receiver<()> {
        let (sender, done) = oneshot::channel();
        self.order(Order::Run(published, sender));
        done
    }

    /// Tells which interfaces there are. Returns at once.
    pub(crate) fn interfaces(&self, interfaces: Present) {
        self.order(Order::Interfaces(interfaces));
    }

    /// Takes over what the arbiter between two nodes says. Returns at once.
    pub(crate) fn judge(&self, verdict: Verdict) {
        self.order(Order::Verdict(verdict));
    }

    /// Hands the VIPs over that other nodes can have, and asks for no more of them, or asks again. Returns at once.
    pub(crate) fn heed(&self, cordon: Cordon) {
        self.order(Order::Cordon(cordon));
    }

    /// Hands every VIP over to other nodes, where there are some, stops answering, and returns when that is done.
    pub(crate) fn silence(&self) {
        let (sender, done) = channel();
        self.order(Order::Silence(sender));
        if done.recv().is_err() {
            warn!("the thread of gates 1 and 2 has ended before");
        }
    }

    /// What a successor on this node is served by.
    pub(crate) fn heir(&self) -> Heir {
        Heir::new(self.orders.clone())
    }

    /// Has gate 1 begin with what a former process has left. Returns at once.
    pub(crate) fn inherit(&self, bequest: Bequest) {
        self.order(Order::Inherit(Box::new(bequest)));
    }

    /// Waits for the end of a thread that has left everything to a successor.
    pub(crate) fn join(self) {
        if self.thread.join().is_err() {
            warn!("the thread of gates 1 and 2 panicked");
        }
    }

    /// Ends the thread, and returns when that is done.
    pub(crate) fn end(self, leave: Leave) {
        self.order(Order::End(leave));
        self.join();
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            warn!("the thread of gates 1 and 2 has ended");
        }
    }
}

/// Does what is ordered and what is due, until the end is ordered.
fn run(mut node: Node, inbox: &Receiver<Order>) {
    loop {
        match inbox.recv_timeout(node.wait()) {
            Ok(Order::Run(published, done)) => node.take(published, done),
            Ok(Order::Interfaces(interfaces)) => node.follow(interfaces),
            Ok(Order::Proxy(sockets, answer)) => node.attach_proxy(sockets, answer),
            Ok(Order::Counters(answer)) => node.counters(answer),
            Ok(Order::Steered(steered)) => node.steered(*steered),
            Ok(Order::Heartbeat(heartbeat)) => node.hear(&heartbeat),
            Ok(Order::Seen(seen)) => node.see(seen),
            Ok(Order::Verdict(verdict)) => node.judge(verdict),
            Ok(Order::Cordon(cordon)) => node.heed(cordon),
            Ok(Order::Silence(done)) => node.leave(done),
            Ok(Order::Lend(lock)) => node.lend(lock),
            Ok(Order::TakeBack) => node.take_back(),
            Ok(Order::Bequeath(answer, fate)) => match node.bequeath(&answer, &fate) {
                Fate::Kept => {}
                // Not a word more: it is the successor's to speak.
                Fate::Handed => return,
            },
            Ok(Order::Inherit(bequest)) => node.inherit(*bequest),
            Ok(Order::End(leave)) => return node.end(leave),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return node.end(Leave::Pins),
        }
        node.advance();
    }
}

/// Notes that who waited for an answer is gone, which happens only when the process is ending.
fn tell<E>(sent: Result<(), E>) {
    if sent.is_err() {
        debug!("an answer of gates 1 and 2 is not waited for");
    }
}
