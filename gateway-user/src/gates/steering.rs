//! Gate 2 on a thread of its own: the only place that holds the datapath.
//!
//! A large change takes seconds, and the leases of gate 1 must be renewed meanwhile. So what is wanted goes in, what came
//! of it comes out, and nobody waits.

mod steerer;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::thread::JoinHandle;

use gateway_control::Published;
use gateway_ir::{Generation, Interface};
use gateway_l4::{Answers, Counters, Datapath};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use self::steerer::Steerer;
use super::{Leave, Settings};
use crate::interfaces::Present;

/// What maps and attachments should follow.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) published: Arc<Published>,
    /// The interfaces that there are.
    pub(super) present: Present,
    /// Who waits for it.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Steered {
    pub(super) published: Arc<Published>,
    /// What the maps say.
    pub(super) programmed: Option<Generation>,
    /// Why they do not say what is wanted.
    pub(super) failure: Option<String>,
    /// The interfaces that have programs and are up.
    pub(super) interfaces: Vec<Interface>,
    /// What else does not work.
    pub(super) notes: BTreeSet<String>,
    pub(super) waiting: Vec<oneshot::Sender<()>>,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Steering {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
    work: Work,
}

/// How far it is. One thing is done at a time: of what comes meanwhile only the newest counts.
#[derive(Debug)]
enum Work {
    Idle,
    Busy(Option<Wanted>),
    /// Another process has the datapath.
    Lent(Option<Wanted>),
}

#[derive(Debug)]
enum Order {
    Follow(Wanted),
    Proxy(Vec<OwnedFd>, Sender<anyhow::Result<()>>),
    Counters(Sender<Counters>),
    Lend(Sender<anyhow::Result<OwnedFd>>),
    TakeBack(Vec<OwnedFd>),
    End(Leave),
}

impl Steering {
    /// Opens the datapath, that of the process which shares its lock if there is one, and starts the thread. `done` is
    /// called on it after each [`Self::follow`].
    ///
    /// # Errors
    /// When the datapath cannot be opened: the error says what to do.
    pub(super) fn start(
        settings: &Settings,
        lock: Option<OwnedFd>,
        done: impl Fn(Steered) + Send + 'static,
    ) -> anyhow::Result<(Self, Answers)> {
        let place = gateway_l4::Settings {
            bpf_root: settings.bpf_root.clone(),
            node: settings.node.clone(),
        };
        let (datapath, answers) = match lock {
            Some(lock) => Datapath::share(&place, lock)?,
            None => Datapath::open(&place)?,
        };
        let steerer = Steerer::new(datapath, settings.interfaces.clone());
        let (orders, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("steering".to_owned())
            .spawn(move || run(steerer, &inbox, done))?;
        let work = Work::Idle;
        let steering = Self {
            orders,
            thread,
            work,
        };
        Ok((steering, answers))
    }

    /// Brings maps and attachments to what is wanted, as soon as what was wanted before is done.
    pub(super) fn follow(&mut self, mut wanted: Wanted) {
        match &mut self.work {
            Work::Idle => {
                self.work = Work::Busy(None);
                self.order(Order::Follow(wanted));
            }
            Work::Busy(next) | Work::Lent(next) => {
                if let Some(overtaken) = next.take() {
                    wanted.waiting.extend(overtaken.waiting);
                }
                *next = Some(wanted);
            }
        }
    }

    /// Takes note that something is done, and goes on with what came meanwhile.
    pub(super) fn go_on(&mut self) {
        if let Work::Busy(next) = &mut self.work {
            let next = next.take();
            self.work = Work::Idle;
            next.into_iter().for_each(|it| self.follow(it));
        }
    }

    pub(super) fn attach_proxy(&self, sockets: Vec<OwnedFd>, answer: Sender<anyhow::Result<()>>) {
        self.order(Order::Proxy(sockets, answer));
    }

    pub(super) fn counters(&self, answer: Sender<Counters>) {
        self.order(Order::Counters(answer));
    }

    /// Leaves the datapath to whoever gets the lock, once what is begun is done. Returns at once.
    pub(super) fn lend(&mut self, lock: Sender<anyhow::Result<OwnedFd>>) {
        self.work = match std::mem::replace(&mut self.work, Work::Idle) {
            Work::Idle => Work::Lent(None),
            Work::Busy(next) | Work::Lent(next) => Work::Lent(next),
        };
        self.order(Order::Lend(lock));
    }

    /// Goes on with the datapath, as the one who had it has died. The proxy's sockets come first.
    pub(super) fn take_back(&mut self, sockets: Vec<OwnedFd>) {
        self.order(Order::TakeBack(sockets));
        if let Work::Lent(next) = std::mem::replace(&mut self.work, Work::Idle) {
            next.into_iter().for_each(|it| self.follow(it));
        }
    }

    /// Ends the thread, once it has done what it is at.
    pub(super) fn end(self, leave: Leave) {
        self.order(Order::End(leave));
        if self.thread.join().is_err() {
            warn!("the thread of gate 2 panicked");
        }
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            warn!("the thread of gate 2 has ended");
        }
    }
}

fn run(mut steerer: Steerer, inbox: &Receiver<Order>, done: impl Fn(Steered)) {
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Follow(wanted) => done(steerer.follow(wanted)),
            Order::Proxy(sockets, answer) => {
                let answered = answer.send(steerer.attach_proxy(&sockets));
                // Who asked may have stopped waiting.
                if let Err(SendError(Err(error))) = answered {
                    warn!(
                        error = format!("{error:#}"),
                        "packets are not steered to the proxy"
                    );
                }
            }
            Order::Counters(answer) => {
                let counters = steerer.counters();
                let counters = counters.inspect_err(|error| debug!(%error, "counters not read"));
                drop(counters.map(|it| answer.send(it)));
            }
            Order::Lend(lock) => drop(lock.send(steerer.lock().map_err(Into::into))),
            Order::TakeBack(sockets) => {
                if let Err(error) = steerer.resume(&sockets) {
                    warn!(
                        error = format!("{error:#}"),
                        "gate 2 goes on with difficulty"
                    );
                }
            }
            Order::End(leave) => return steerer.end(leave),
        }
    }
}
