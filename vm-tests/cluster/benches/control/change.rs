//! A route that changes while requests flow by it: no request may fail, and every change must arrive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{anyhow, ensure};
use tokio::time::sleep;

use crate::figures::Figures;
use crate::latency::POLL;
use crate::objects::{Objects, SERVICE, host};
use crate::question::Connection;
use crate::{PATIENCE, say};

/// Connections that ask all the time.
const CONNECTIONS: usize = 4;
/// The route.
const ROUTE: &str = "change";
/// A second Service of the same pods, so that each change is one of the backend too.
const OTHER: &str = "echo-again";

/// Changes a route so many times, each when the one before has reached every connection.
pub(crate) async fn measure(
    objects: &Objects,
    to: SocketAddr,
    changes: usize,
) -> anyhow::Result<()> {
    objects.add_service(OTHER).await?;
    objects.add_route(ROUTE, OTHER).await?;
    wait(|| Ok(Connection::open(to)?.ask(&host(ROUTE), "/")?.status == 200)).await?;
    let load = Load::start(to);
    let mut times = Vec::new();
    for change in 1..=changes {
        let service = if change % 2 == 0 { OTHER } else { SERVICE };
        let start = Instant::now();
        objects.change_route(ROUTE, service, change).await?;
        wait(|| Ok(load.has_seen(change))).await?;
        times.push(start.elapsed());
    }
    let seen = load.end()?;
    say(&format!(
        "one route changed {changes} times under load: {} requests, {} not answered with 200, {} connections lost, {} steps back",
        seen.requests, seen.refused, seen.lost, seen.back
    ));
    say(&format!(
        "  change to answer on all of {CONNECTIONS} connections {}",
        Figures::new(times)
    ));
    Ok(())
}

async fn wait(mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < PATIENCE, "a change does not arrive");
        sleep(POLL).await;
    }
    Ok(())
}

/// Requests on several connections until they are ended.
struct Load {
    stop: Arc<AtomicBool>,
    /// The newest change that each connection has seen.
    newest: Vec<Arc<AtomicUsize>>,
    threads: Vec<JoinHandle<Seen>>,
}

/// What became of the requests.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    refused: usize,
    lost: usize,
    /// Answers by an older form of the route than the one before on the same connection.
    back: usize,
}

impl Load {
    fn start(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let newest = (0..CONNECTIONS).map(|_| Arc::<AtomicUsize>::default());
        let newest: Vec<_> = newest.collect();
        let threads = newest.iter().map(|newest| {
            let (stop, newest) = (Arc::clone(&stop), Arc::clone(newest));
            std::thread::spawn(move || {
                let mut seen = Seen::default();
                while !stop.load(Ordering::Relaxed) {
                    if seen.ask(to, (&stop, &newest)).is_err() {
                        seen.lost += 1;
                    }
                }
                seen
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            newest,
        }
    }

    /// Whether every connection has a change.
    fn has_seen(&self, change: usize) -> bool {
        let mut all = self.newest.iter();
        all.all(|it| it.load(Ordering::Relaxed) >= change)
    }

    fn end(self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Seen::default();
        for thread in self.threads {
            let seen = thread.join();
            let seen = seen.map_err(|_panic| anyhow!("a connection panicked"))?;
            sum.requests += seen.requests;
            sum.refused += seen.refused;
            sum.lost += seen.lost;
            sum.back += seen.back;
        }
        Ok(sum)
    }
}

impl Seen {
    /// Asks on one connection for as long as it holds.
    fn ask(
        &mut self,
        to: SocketAddr,
        (stop, newest): (&AtomicBool, &AtomicUsize),
    ) -> anyhow::Result<()> {
        let mut connection = Connection::open(to)?;
        while !stop.load(Ordering::Relaxed) {
            let answer = connection.ask(&host(ROUTE), "/")?;
            self.requests += 1;
            self.refused += usize::from(answer.status != 200);
            let change = answer.change.unwrap_or_default();
            self.back += usize::from(change < newest.fetch_max(change, Ordering::Relaxed));
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}
