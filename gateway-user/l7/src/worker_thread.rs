//! The life of a worker: takes commands from the coordinator, and sweeps deadlines in between.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::accept::Acceptor;
use crate::clock::Ticker;
use crate::metrics::Metrics;
use crate::program::Program;
use crate::tracker::Signal;
use crate::worker::{Scope, Worker};

/// How often deadlines are looked at: a part of the shortest one, within these bounds.
const SWEEP_MIN: Duration = Duration::from_millis(10);
const SWEEP_MAX: Duration = Duration::from_secs(1);
const SWEEPS_PER_DEADLINE: u32 = 4;

/// What the coordinator tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve another program.
    Apply {
        program: Arc<Program>,
        /// Sockets to accept on from now on, by the address that they are bound to.
        opened: Vec<(SocketAddr, std::net::TcpListener)>,
        /// Addresses to accept on no longer.
        closed: Vec<SocketAddr>,
        done: oneshot::Sender<()>,
    },
    /// End each connection with an answer, and say when those are gone that are open now.
    WindDown {
        within: Duration,
        done: oneshot::Sender<()>,
    },
    /// Nobody new comes in: say when the last ones are answered.
    Settle { done: oneshot::Sender<()> },
    /// Accept nothing more, finish what is in flight, end.
    Drain {
        timeout: Duration,
        done: oneshot::Sender<()>,
    },
}

/// Sends a command to each worker and waits for all of them; says how many answered.
pub(crate) async fn tell(
    workers: &[mpsc::Sender<Command>],
    mut command: impl FnMut(oneshot::Sender<()>) -> Command,
) -> usize {
    let mut answers = Vec::new();
    for worker in workers {
        let (done, answer) = oneshot::channel();
        if worker.send(command(done)).await.is_ok() {
            answers.push(answer);
        }
    }
    let mut answered = 0;
    for answer in answers {
        answered += usize::from(answer.await.is_ok());
    }
    answered
}

/// Runs a worker until it is drained or nobody commands it.
pub(crate) async fn run(
    index: usize,
    metrics: Arc<Metrics>,
    transparent: Vec<std::net::TcpListener>,
    mut commands: mpsc::Receiver<Command>,
) {
    let worker = Rc::new(Worker::new(index, metrics));
    let mut acceptors: BTreeMap<SocketAddr, Acceptor> = BTreeMap::new();
    let fed = transparent.into_iter();
    let fed: Vec<_> = fed.map(|listener| accept_on(&worker, listener)).collect();
    tokio::task::spawn_local(sweep(Rc::clone(&worker)));
    while let Some(command) = commands.recv().await {
        match command {
            Command::Apply {
                program,
                opened,
                closed,
                done,
            } => {
                worker.apply(program);
                for (address, listener) in opened {
                    acceptors.insert(address, accept_on(&worker, listener));
                }
                for address in closed {
                    if let Some(acceptor) = acceptors.remove(&address) {
                        acceptor.close().await;
                    }
                }
                worker.drain_connections(Scope::Unserved);
                answer(done);
            }
            Command::WindDown { within, done } => {
                // Configuration is followed meanwhile.
                let worker = Rc::clone(&worker);
                tokio::task::spawn_local(async move {
                    worker.wind_down(within).await;
                    answer(done);
                });
            }
            Command::Settle { done } => {
                worker.settle().await;
                answer(done);
            }
            Command::Drain { timeout, done } => {
                // Before the sockets close: who sees them closed sees that answers end their connections too.
                worker.drain_connections(Scope::All);
                for acceptor in std::mem::take(&mut acceptors).into_values() {
                    acceptor.close().await;
                }
                for acceptor in fed {
                    acceptor.close().await;
                }
                worker.drain(timeout).await;
                answer(done);
                return;
            }
        }
    }
}

fn accept_on(worker: &Rc<Worker>, listener: std::net::TcpListener) -> Acceptor {
    // Bound and made non-blocking by the coordinator; only the registration with the reactor is left.
    let listener =
        TcpListener::from_std(listener).expect("a worker runs inside a runtime with IO enabled");
    Acceptor::start(Rc::clone(worker), listener)
}

/// Who commands stops listening only at its own end, and then needs no answer.
fn answer(done: oneshot::Sender<()>) {
    if done.send(()).is_err() {
        tracing::debug!("nobody waits for a worker's answer");
    }
}

/// Enforces deadlines. Sleeps between rounds, so that no request arms a timer.
async fn sweep(worker: Rc<Worker>) {
    let ticker = Ticker::new();
    loop {
        let state = worker.state();
        let upstream = state.program.settings.upstream_idle_timeout;
        let clients = state.program.deadline_min;
        let shortest = clients.map_or(upstream, |it| it.min(upstream));
        let interval = (shortest / SWEEPS_PER_DEADLINE).clamp(SWEEP_MIN, SWEEP_MAX);
        ticker.tick(&worker.clock, interval);
        worker.connections.borrow().values().for_each(|open| {
            if open.tracker.is_expired(&open.settings) {
                worker.cells.connections_timed_out.increment();
                open.tracker.signal(Signal::Kill);
            }
        });
        if let Some(listed) = state.program.endpoints() {
            worker.endpoints.retain(listed);
        }
        worker.endpoints.sweep(upstream);
        drop(state);
        sleep(interval).await;
    }
}
