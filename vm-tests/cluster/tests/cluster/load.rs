//! Requests one after another, from the cluster's client, while something happens to the cluster.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use futures_util::future::join_all;
use gateway_vm_tests::client::{Connection, Get, Transport};
use nix::sched::{CloneFlags, setns};

/// Clients at a time.
const CLIENTS: usize = 4;
/// Requests on a connection before the next one is opened.
const PER_CONNECTION: usize = 10;
/// Rest between two requests of a client, so that the machine has time for the cluster.
const PAUSE: Duration = Duration::from_millis(5);

/// A load that runs until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Seen>>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Those that were answered by a pod.
    pub(crate) answered: usize,
    /// What happened to the others, with the time since the start.
    pub(crate) failed: Vec<(Duration, String)>,
    /// The longest time that a client had no answer.
    pub(crate) longest: Duration,
}

impl Load {
    /// Starts to ask, in the network of the script that runs programs on the cluster's client.
    pub(crate) fn start(client: &Path, to: SocketAddr) -> anyhow::Result<Self> {
        let network = network(client)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let clients = (0..CLIENTS).map(|_| ask(to, &stopped));
            let seen = runtime.block_on(join_all(clients));
            Ok(seen.into_iter().fold(Seen::default(), Seen::and))
        });
        Ok(Self { stop, thread })
    }

    /// Stops it and says what became of the requests.
    pub(crate) fn end(self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join();
        seen.map_err(|_panic| anyhow!("the clients panicked"))?
    }
}

impl Seen {
    fn and(mut self, other: Self) -> Self {
        self.answered += other.answered;
        self.failed.extend(other.failed);
        self.longest = self.longest.max(other.longest);
        self
    }
}

async fn ask(to: SocketAddr, stopped: &AtomicBool) -> Seen {
    let (start, mut last) = (Instant::now(), Instant::now());
    let mut seen = Seen::default();
    while !stopped.load(Ordering::Relaxed) {
        let mut connection = None;
        for _request in 0..PER_CONNECTION {
            match request(to, &mut connection).await {
                Ok(()) => {
                    seen.answered += 1;
                    seen.longest = seen.longest.max(last.elapsed());
                    last = Instant::now();
                }
                Err(error) => {
                    seen.failed.push((start.elapsed(), format!("{error:#}")));
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    seen
}

/// One request. A server may close a connection that it has answered on; the next request then takes another.
async fn request(to: SocketAddr, connection: &mut Option<Connection>) -> anyhow::Result<()> {
    let mut open = match connection.take() {
        Some(open) if open.is_open() => open,
        Some(_) | None => Connection::open(to, &Transport::Plain).await?,
    };
    let reply = open.get(&Get::new("load.example", "/")).await?;
    ensure!(reply.status == 200, "status {}", reply.status);
    *connection = Some(open);
    Ok(())
}

/// The network that a script enters.
fn network(script: &Path) -> anyhow::Result<File> {
    let text = fs::read_to_string(script)?;
    let mut words = text.split_whitespace();
    words
        .find(|it| *it == "--target")
        .context("the script enters nothing")?;
    let thread = words.next().context("the script names no thread")?;
    Ok(File::open(format!("/proc/{thread}/ns/net"))?)
}
