//! A node that is cordoned: its connections end, its addresses go to other nodes, and it goes on as their reserve.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use gateway_control::{Cordon, Published};
use gateway_ir::NodeName;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::Wire;
use crate::board::Owner;

/// How long addresses take to go to other nodes, at most; those that no other node can have stay.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);
/// How long a client may take for this node when the address has gone, until it has learnt of the next owner. It may ask
/// here and go on there, which ends in a reset, so it is not let in.
const NEWS_MAX: Duration = Duration::from_secs(1);

/// How this node stands to the addresses that there are.
pub(super) enum Standing {
    /// It may have each of them.
    Open,
    /// On its way back, with the end of what it does.
    Retreating(Step, Pin<Box<dyn Future<Output = ()>>>),
    /// It has those that no other node can have.
    Back,
    /// The process ends, whatever becomes of the node.
    Ending,
}

/// What a node does that steps back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its connections come to their end, and new ones are short.
    WindDown,
    /// Nobody new is let in.
    TurnAway,
    /// Its addresses go to others.
    HandOver,
}

impl Standing {
    fn retreating(step: Step, end: impl Future<Output = ()> + 'static) -> Self {
        Self::Retreating(step, Box::pin(end))
    }

    /// Waits for the end of a step; for ever where there is none.
    pub(super) async fn is_due(&mut self) {
        match self {
            Self::Retreating(_, end) => end.await,
            Self::Open | Self::Back | Self::Ending => pending().await,
        }
    }
}

impl Wire {
    /// Follows what a publication says of this node.
    pub(super) fn heed_cordon(&mut self, published: &Published) {
        if self.gates.is_none() {
            // It will be heeded by gates that are switched on later.
            return;
        }
        let node = self.settings.node();
        let own = published.peers.iter().find(|it| it.node == *node);
        let cordon = own.map_or(Cordon::Open, |it| it.cordon);
        match (cordon, &self.standing) {
            (Cordon::Cordoned, Standing::Open) if self.can_hand_over(published) => {
                info!("this node is cordoned: connections end before its addresses go to others");
                let ended = self.proxies.wind_down(self.drain_timeout());
                self.standing = Standing::retreating(Step::WindDown, ended);
            }
            (Cordon::Cordoned, Standing::Open) => {
                self.standing = Standing::Back;
                self.heed(cordon);
            }
            (Cordon::Open, Standing::Retreating(..) | Standing::Back) => {
                self.standing = Standing::Open;
                self.heed(cordon);
                tokio::spawn(self.proxies.resume());
            }
            (Cordon::Cordoned, Standing::Retreating(..) | Standing::Back)
            | (Cordon::Open, Standing::Open)
            | (_, Standing::Ending) => {}
        }
    }

    /// Goes from one step to the next.
    pub(super) fn step_back(&mut self) {
        let Standing::Retreating(step, _) = &self.standing else {
            return;
        };
        self.standing = match step {
            Step::WindDown => Standing::retreating(Step::TurnAway, self.proxies.turn_away()),
            Step::TurnAway => {
                self.heed(Cordon::Cordoned);
                let gone = handed_over(self.board.owned(), self.settings.node().clone());
                Standing::retreating(Step::HandOver, gone)
            }
            Step::HandOver => {
                tokio::spawn(self.proxies.resume());
                Standing::Back
            }
        };
    }

    fn heed(&self, cordon: Cordon) {
        if let Some(gates) = &self.gates {
            gates.heed(cordon);
        }
    }

    /// Tells whether this node answers for an address, and is not alone.
    fn can_hand_over(&self, published: &Published) -> bool {
        let node = self.settings.node();
        let is_owner = is_owner(&self.board.owned().borrow(), node);
        is_owner && published.nodes.iter().any(|it| it != node)
    }
}

/// Waits until the addresses that others can have are theirs for every client.
async fn handed_over(mut owned: watch::Receiver<Vec<Owner>>, node: NodeName) {
    let is_silent = owned.wait_for(|all| !is_owner(all, &node));
    let is_silent = timeout(HAND_OVER_MAX, is_silent).await.is_ok();
    if is_silent {
        info!("stepped back: all addresses have gone to other nodes");
        sleep(NEWS_MAX).await;
    } else {
        info!("stepped back: addresses stay that no other node can have");
    }
}

fn is_owner(all: &[Owner], node: &NodeName) -> bool {
    all.iter().any(|it| it.node.as_ref() == Some(node))
}
