//! What comes from a former process of this node, and goes to the next one.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender};

use tracing::{info, warn};

use super::Node;
use crate::gates::steering::Steered;
use crate::gates::succession::{Bequest, Fate, await_fate};
use crate::gates::tell;

/// Whether gate 1 has begun.
pub(super) enum Beginning {
    Begun,
    /// A former process still speaks for this node. What gate 2 is ready for waits.
    Awaited(Option<Box<Steered>>),
}

impl Node {
    /// Leaves gate 2 to another process, as soon as it has done what it is at; gate 1 goes on.
    pub(in crate::gates) fn lend(&mut self, lock: Sender<anyhow::Result<OwnedFd>>) {
        info!("gate 2 is left to a successor");
        self.steering.lend(lock);
    }

    /// Goes on with gate 2, which has not become another process's.
    pub(in crate::gates) fn take_back(&mut self) {
        info!("gate 2 is taken back");
        let sockets = self.proxy.iter().map(OwnedFd::try_clone);
        let sockets: io::Result<_> = sockets.collect();
        self.steering.take_back(sockets.unwrap_or_else(|error| {
            warn!(%error, "packets are not steered to the proxy");
            Vec::new()
        }));
        self.reconcile(Vec::new());
    }

    /// Stops speaking, gives away what a successor needs to go on, and waits for what becomes of it. Nothing is heard or
    /// said meanwhile, as if the process were frozen.
    pub(in crate::gates) fn bequeath(
        &mut self,
        answer: &Sender<Bequest>,
        fate: &Receiver<Fate>,
    ) -> Fate {
        let heartbeats = self.company.pause();
        let legacy = self.announcer.bequeath();
        tell(answer.send(Bequest { legacy, heartbeats }));
        let fate = await_fate(fate);
        if fate == Fate::Kept
            && let Some(running) = self.running.clone()
            && let (_, Some(note)) =
                self.company
                    .follow(&running, self.board.running(), self.cordon)
        {
            warn!(note, "gates 1 and 2");
        }
        fate
    }

    /// Begins with gate 1 where a former process has left it.
    pub(in crate::gates) fn inherit(&mut self, bequest: Bequest) {
        self.announcer.inherit(bequest.legacy);
        if let Some(socket) = bequest.heartbeats {
            self.company.inherit(socket);
        }
        let beginning = std::mem::replace(&mut self.beginning, Beginning::Begun);
        if let Beginning::Awaited(Some(steered)) = beginning {
            self.announce(*steered);
        }
    }

    /// Keeps what gate 2 is ready for until gate 1 may begin; gives it back if it may.
    pub(super) fn defer(&mut self, mut steered: Steered) -> Option<Steered> {
        match &mut self.beginning {
            Beginning::Begun => Some(steered),
            Beginning::Awaited(newest) => {
                for waiting in steered.waiting.drain(..) {
                    tell(waiting.send(()));
                }
                *newest = Some(Box::new(steered));
                None
            }
        }
    }
}
