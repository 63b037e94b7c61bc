//! The end of a process whose successor is there before it is gone.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use gateway_control::leader::Candidacy;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::info;

use super::Wire;
use super::cordon::Standing;
use super::shutdown::Signals;
use crate::admin::Admin;
use crate::succession::{self, Call, Estate, Line, Post, State};

/// How long a process that is told to end waits for a successor that gets ready. With the drain timeout it has to fit
/// into a pod's grace period.
const PREPARE_MAX: Duration = Duration::from_secs(10);

/// What a process has to do with those before it and after it.
pub(super) struct Succession {
    calls: mpsc::Receiver<Call>,
    state: Arc<watch::Sender<State>>,
    admin: Vec<Admin>,
    /// Tells the process before this one that this one lives.
    #[expect(dead_code, reason = "held for its Drop")]
    line: Option<Line>,
}

/// What a process does that has handed everything over and has nothing left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retirement {
    /// It ends.
    End,
    /// It waits to be told to end: who started it would start it again.
    Wait,
}

impl Succession {
    /// Lets the next process find this one, if this one is to be found.
    pub(super) fn start(
        post: Option<Post>,
        admin: Vec<Admin>,
        line: Option<Line>,
    ) -> anyhow::Result<Self> {
        // One successor is served at a time.
        let (asking, calls) = mpsc::channel(1);
        let state = Arc::new(watch::Sender::new(State::Alone));
        if let Some(post) = post {
            let sockets: std::io::Result<Vec<OwnedFd>> = admin.iter().map(Admin::socket).collect();
            let estate = Estate {
                post,
                admin: sockets?,
            };
            succession::serve(estate, asking, Arc::clone(&state))?;
        }
        Ok(Self {
            calls,
            state,
            admin,
            line,
        })
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) async fn called(&mut self) -> Option<Call> {
        self.calls.recv().await
    }

    /// Has every successor wait for the end of this process.
    pub(super) fn close(&mut self) {
        self.calls.close();
    }
}

/// Waits until a successor serves the node.
pub(super) async fn decided(mut state: watch::Receiver<State>) {
    let is_decided = |it: &State| matches!(it, State::Handed | State::Orphaned);
    if state.wait_for(is_decided).await.is_err() {
        std::future::pending().await
    }
}

/// Waits for a successor that gets ready, for a while, and for one that takes over, however long it takes.
pub(super) async fn settled(mut state: watch::Receiver<State>) {
    let prepared = state.wait_for(|it| *it != State::Preparing);
    if timeout(PREPARE_MAX, prepared).await.is_err() {
        info!("the successor is not ready, and this process ends");
        return;
    }
    let handed = state.wait_for(|it| *it != State::Handing);
    // Who could say so is gone with the process.
    drop(handed.await);
}

impl Wire {
    /// A successor is ready.
    pub(super) fn answer(&mut self, call: Call) {
        let answer = match &self.gates {
            Some(gates) => {
                self.succession.state.send_replace(State::Handing);
                Ok(gates.heir())
            }
            None => Err("gates 1 and 2 are off here".to_owned()),
        };
        // It may have died meanwhile.
        drop(call.answer.send(answer));
    }

    /// Ends what the successor has not taken over: the connections that are open.
    pub(super) async fn retire(
        mut self,
        signals: Option<Signals>,
        retirement: Retirement,
    ) -> anyhow::Result<()> {
        info!("a successor serves the node; connections of before come to their end");
        let state = self.succession.state();
        self.succession.admin.iter().for_each(Admin::stop);
        if let Some(gates) = self.gates.take() {
            gates.join();
        }
        self.running = None;
        self.standing = Standing::Ending;
        self.board.stand(Candidacy::Aside);
        let told = signals.map(|mut signals| {
            tokio::spawn(async move {
                signals.next().await;
                signals.end_at_the_next();
            })
        });
        let within = self.drain_timeout();
        self.board.drain(within);
        let ended = self.proxies.wind_down(within);
        self.follow(ended).await?;
        // What the kernel had begun for this process's sockets comes to its end as well.
        self.proxies.turn_away().await;
        self.proxies.drain().await;
        info!("drained");
        let (Some(told), Retirement::Wait) = (told, retirement) else {
            return Ok(());
        };
        let mut state = state;
        tokio::select! {
            told = told => Ok(told?),
            _ended = state.wait_for(|it| *it == State::Orphaned) => {
                bail!("the successor has ended")
            }
        }
    }
}
