//! How gates 1 and 2 go from a process to its successor on the same node: gate 2 first, which takes a while, and gate 1 at
//! once, in the last moment, so that no lease ends meanwhile.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context;
use gateway_announce::Legacy;

use super::steering::Steering;
use super::{Order, Settings};

/// What gate 1 leaves.
#[derive(Debug)]
pub(crate) struct Bequest {
    pub(crate) legacy: Legacy,
    /// Where heartbeats come in.
    pub(crate) heartbeats: Option<UdpSocket>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody took it.
    Kept,
    /// A successor has it, and this process is silent for good.
    Handed,
}

/// What serves a successor. It blocks, so it is for a thread of its own.
#[derive(Clone, Debug)]
pub(crate) struct Heir {
    settings: Settings,
    orders: Sender<Order>,
}

impl Heir {
    pub(super) fn new(settings: Settings, orders: Sender<Order>) -> Self {
        Self { settings, orders }
    }

    /// Touches maps and programs no more, and gives their lock. Leases are still renewed.
    ///
    /// # Errors
    /// When another process has them already, or the gates have ended.
    pub(crate) fn release(&self) -> anyhow::Result<OwnedFd> {
        let (sender, lock) = channel();
        self.order(Order::Release(sender))?;
        lock.recv().context(ENDED)?
    }

    /// Takes maps and programs back from a successor that has died.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub(crate) fn take_back(&self, lock: OwnedFd) -> anyhow::Result<()> {
        let done = self.orders.clone();
        // Here, as it takes longer than a lease. The permissions of gate 1 are the same maps as before.
        let (steering, _answers) = Steering::start(&self.settings, Some(lock), move |steered| {
            // Nobody waits for it any more when the process is ending.
            drop(done.send(Order::Steered(Box::new(steered))));
        })?;
        self.order(Order::TakeBack(Box::new(steering)))
    }

    /// Stops gate 1 and gives what it leaves to a function, which says what became of it, and soon: gate 1 waits.
    ///
    /// # Errors
    /// When the gates have ended.
    pub(crate) fn bequeath(&self, hand: impl FnOnce(Bequest) -> Fate) -> anyhow::Result<Fate> {
        let (sender, bequest) = channel();
        let (decided, fate) = channel();
        self.order(Order::Bequeath(sender, fate))?;
        let fate = hand(bequest.recv().context(ENDED)?);
        decided.send(fate).context(ENDED)?;
        Ok(fate)
    }

    fn order(&self, order: Order) -> anyhow::Result<()> {
        self.orders.send(order).ok().context(ENDED)
    }
}

const ENDED: &str = "gates 1 and 2 have ended";

/// Waits for what became of a bequest. Who does not say may have handed it over.
pub(super) fn await_fate(fate: &Receiver<Fate>) -> Fate {
    fate.recv().unwrap_or(Fate::Handed)
}
