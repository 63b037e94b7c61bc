//! How gates 1 and 2 go from a process to its successor on the same node: gate 2 first, which takes a while, and gate 1 at
//! once, in the last moment, so that no lease ends meanwhile.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context;
use gateway_announce::Legacy;

use super::Order;

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
    orders: Sender<Order>,
}

impl Heir {
    pub(super) fn new(orders: Sender<Order>) -> Self {
        Self { orders }
    }

    /// Touches maps and programs no more, and gives their lock. Leases are still renewed.
    ///
    /// # Errors
    /// When the gates have ended.
    pub(crate) fn lend(&self) -> anyhow::Result<OwnedFd> {
        let (sender, lock) = channel();
        self.order(Order::Lend(sender))?;
        lock.recv().context(ENDED)?
    }

    /// Takes maps and programs back from a successor that has died.
    ///
    /// # Errors
    /// When the gates have ended.
    pub(crate) fn take_back(&self) -> anyhow::Result<()> {
        self.order(Order::TakeBack)
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
