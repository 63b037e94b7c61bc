//! Requests of several kinds from the cluster's client, while something happens to the cluster.

mod http2;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use futures_util::future::join_all;
use gateway_vm_tests::client::{self, Connection, Get, Transport};
use gateway_vm_tests::deadline::bounded;
use nix::sched::{CloneFlags, setns};
use tokio::time::timeout;

use http2::Multiplexed;

/// Requests on a connection before its client opens the next one.
const PER_CONNECTION: usize = 200;
/// Rest between two requests of a client, so that the machine has time for the cluster.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a client without patience waits for a connection.
const HASTE: Duration = Duration::from_millis(50);
/// Failures of a client after which it gives up: what it says is clear by then.
const FAILURES_MAX: usize = 2_000;

/// How long a single request may take: less than a connection's second attempt.
const ONCE_MAX: Duration = Duration::from_millis(800);

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// HTTP/1.1, many requests on a connection.
    Reused,
    /// HTTP/1.1, a connection for each request.
    Fresh,
    /// The same without patience: who is not let in at once tries anew, so that at each moment somebody does.
    Hasty,
    /// HTTP/2, two requests at a time on a connection.
    Http2,
    /// gRPC.
    Calls,
}

impl Kind {
    fn clients(self) -> usize {
        match self {
            Self::Reused => 4,
            Self::Fresh | Self::Hasty | Self::Http2 | Self::Calls => 2,
        }
    }

    fn requests_of_a_connection(self) -> usize {
        match self {
            Self::Fresh | Self::Hasty => 1,
            Self::Reused | Self::Http2 | Self::Calls => PER_CONNECTION,
        }
    }
}

/// A load that runs until it is stopped.
pub(crate) struct Load {
    start: Instant,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<Seen>>>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Those that were answered by a pod.
    pub(crate) answered: usize,
    /// Connections that were not to be had, with the time since the start.
    pub(crate) unconnected: Vec<(Duration, String)>,
    /// Requests that were sent and not answered.
    pub(crate) lost: Vec<(Duration, String)>,
    /// The longest time that a client had no answer.
    pub(crate) longest: Duration,
}

impl Load {
    /// Starts to ask, in the network of the script that runs programs on the cluster's client.
    pub(crate) fn start(client: &Path, to: Vec<(Kind, SocketAddr)>) -> anyhow::Result<Self> {
        let network = network(client)?;
        let start = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let all = to.into_iter().map(|(kind, to)| {
                let clients = (0..kind.clients()).map(|_| ask(kind, to, (start, &stopped)));
                join_all(clients.collect::<Vec<_>>())
            });
            let seen = runtime.block_on(join_all(all.collect::<Vec<_>>()));
            let sum = |of: Vec<Seen>| of.into_iter().fold(Seen::default(), Seen::and);
            Ok(seen.into_iter().map(sum).collect())
        });
        Ok(Self {
            start,
            stop,
            thread,
        })
    }

    /// The time since the start, as what is seen has it.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Stops it and says what became of the requests, in the order of what was started.
    pub(crate) fn end(self) -> anyhow::Result<Vec<Seen>> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join();
        seen.map_err(|_panic| anyhow!("the clients panicked"))?
    }
}

impl Seen {
    /// Everything that did not work.
    pub(crate) fn failed(&self) -> BTreeMap<Duration, &str> {
        let all = self.unconnected.iter().chain(&self.lost);
        all.map(|(at, why)| (*at, why.as_str())).collect()
    }

    fn and(mut self, other: Self) -> Self {
        self.answered += other.answered;
        self.unconnected.extend(other.unconnected);
        self.lost.extend(other.lost);
        self.longest = self.longest.max(other.longest);
        self
    }
}

/// An open connection.
enum Open {
    Http1(Connection),
    Http2(Multiplexed),
}

/// What became of a request.
enum Fate {
    Answered,
    /// The connection has ended before it was sent: another one takes it.
    Unsent,
    Lost(anyhow::Error),
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// This status.
    Status(u16),
    /// Nobody takes a connection, or who took it said nothing.
    NoAnswer,
}

/// Asks once, on a connection of its own.
pub(crate) fn ask_once(client: &Path, to: SocketAddr) -> anyhow::Result<Outcome> {
    let network = network(client)?;
    let asking = std::thread::spawn(move || {
        setns(network, CloneFlags::CLONE_NEWNET)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let page = Get::new("load.example", "/");
        let asked = client::get(to, &Transport::Plain, &page);
        let asked = runtime.block_on(async { timeout(ONCE_MAX, asked).await });
        Ok(match asked {
            Ok(Ok(reply)) => Outcome::Status(reply.status),
            Ok(Err(_)) | Err(_) => Outcome::NoAnswer,
        })
    });
    let asked = asking.join();
    asked.map_err(|_panic| anyhow!("the client panicked"))?
}

async fn ask(kind: Kind, to: SocketAddr, (start, stopped): (Instant, &AtomicBool)) -> Seen {
    let mut last = Instant::now();
    let mut seen = Seen::default();
    while !stopped.load(Ordering::Relaxed)
        && seen.unconnected.len() + seen.lost.len() < FAILURES_MAX
    {
        let connected = match kind {
            Kind::Hasty => match timeout(HASTE, connect(kind, to)).await {
                Ok(connected) => connected,
                Err(_not_yet) => continue,
            },
            Kind::Reused | Kind::Fresh | Kind::Http2 | Kind::Calls => {
                bounded("connection", connect(kind, to)).await
            }
        };
        let mut open = match connected {
            Ok(open) => open,
            Err(error) => {
                let why = format!("{error:#}");
                seen.unconnected.push((start.elapsed(), why));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        for _request in 0..kind.requests_of_a_connection() {
            match open.ask(kind).await {
                Fate::Answered => {
                    seen.answered += 1;
                    seen.longest = seen.longest.max(last.elapsed());
                    last = Instant::now();
                }
                Fate::Unsent => break,
                Fate::Lost(error) => {
                    seen.lost.push((start.elapsed(), format!("{error:#}")));
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
            if stopped.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    seen
}

async fn connect(kind: Kind, to: SocketAddr) -> anyhow::Result<Open> {
    Ok(match kind {
        Kind::Reused | Kind::Fresh | Kind::Hasty => {
            Open::Http1(Connection::open(to, &Transport::Plain).await?)
        }
        Kind::Http2 | Kind::Calls => Open::Http2(Multiplexed::open(to).await?),
    })
}

impl Open {
    async fn ask(&mut self, kind: Kind) -> Fate {
        match self {
            Self::Http1(connection) if !connection.is_open() => Fate::Unsent,
            Self::Http1(connection) => match get(connection).await {
                Ok(()) => Fate::Answered,
                Err(error) => lost_unless_unsent(error),
            },
            Self::Http2(connection) => {
                let answered = match kind {
                    Kind::Calls => connection.call().await,
                    Kind::Http2 | Kind::Reused | Kind::Fresh | Kind::Hasty => {
                        connection.get_two().await
                    }
                };
                match answered {
                    Ok(()) => Fate::Answered,
                    Err(error) => lost_unless_unsent(error),
                }
            }
        }
    }
}

async fn get(connection: &mut Connection) -> anyhow::Result<()> {
    let reply = connection.get(&Get::new("load.example", "/")).await?;
    ensure!(reply.status == 200, "status {}", reply.status);
    Ok(())
}

/// A connection may end at any time; what it had not taken yet is nobody's loss.
fn lost_unless_unsent(error: anyhow::Error) -> Fate {
    let cause = error.downcast_ref::<hyper::Error>();
    if cause.is_some_and(|it| it.is_canceled() || it.is_closed()) {
        Fate::Unsent
    } else {
        Fate::Lost(error)
    }
}

/// The network that a script enters.
pub(crate) fn network(script: &Path) -> anyhow::Result<File> {
    let text = fs::read_to_string(script)?;
    let mut words = text.split_whitespace();
    words
        .find(|it| *it == "--target")
        .context("the script enters nothing")?;
    let thread = words.next().context("the script names no thread")?;
    Ok(File::open(format!("/proc/{thread}/ns/net"))?)
}
