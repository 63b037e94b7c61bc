//! From the request that makes a route to the first answer by it, one route after another.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt};
use kube::runtime::watcher::{self, watcher};
use tokio::task::JoinHandle;

use crate::figures::Figures;
use crate::objects::{Objects, SERVICE, host};
use crate::question::Connection;
use crate::{PATIENCE, say};

/// Distance of two questions.
pub(crate) const POLL: Duration = Duration::from_micros(200);
/// Routes of a line in the table.
const PART: usize = 1_000;

/// How soon a route was there.
#[derive(Clone, Copy, Debug)]
struct Propagation {
    /// From the create to the first answer by it.
    served: Duration,
    /// From the create to the watch event: what no controller can be faster than.
    seen: Duration,
    /// Answers on the way that said neither that the route is there nor that it is not.
    odd: usize,
}

/// The first answer by a route.
struct Served {
    at: Instant,
    odd: usize,
}

/// Makes routes of a name one after another, and says how soon each was there.
pub(crate) async fn measure(
    objects: &Objects,
    to: SocketAddr,
    name: &str,
    count: usize,
) -> anyhow::Result<()> {
    let mut course = Course::start(objects, to).await?;
    let mut all = Vec::new();
    for number in 0..count {
        all.push(course.one(objects, &format!("{name}-{number}")).await?);
    }
    course.watch.abort();
    for (number, part) in all.chunks(PART).enumerate() {
        let from = number * PART;
        let to = from + part.len();
        let served = Figures::new(part.iter().map(|it| it.served));
        say(&format!("  {from:>5}..{to:<5} create to answer {served}"));
        let seen = Figures::new(part.iter().map(|it| it.seen));
        say(&format!("    create to watch event {seen}"));
        let own = part.iter().map(|it| it.served.saturating_sub(it.seen));
        let own = Figures::new(own);
        say(&format!("    watch event to answer {own}"));
    }
    let odd: usize = all.iter().map(|it| it.odd).sum();
    say(&format!("  {odd} answers were neither 200 nor 404"));
    Ok(())
}

/// Somebody who asks for hosts, and somebody who watches routes.
struct Course {
    hosts: Sender<String>,
    answered: Receiver<anyhow::Result<Served>>,
    seen: Receiver<(String, Instant)>,
    watch: JoinHandle<()>,
}

impl Course {
    async fn start(objects: &Objects, to: SocketAddr) -> anyhow::Result<Self> {
        let mut events = watcher(objects.routes(), watcher::Config::default()).boxed();
        while let Some(event) = events.try_next().await? {
            if matches!(event, watcher::Event::InitDone) {
                break;
            }
        }
        let (sender, seen) = channel();
        let watch = tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let watcher::Event::Apply(route) = event else {
                    continue;
                };
                // The first form of each; later ones are statuses.
                let sent = (route.metadata.name.unwrap_or_default(), Instant::now());
                if sender.send(sent).is_err() {
                    return;
                }
            }
        });
        let (hosts, questions) = channel::<String>();
        let (answers, answered) = channel();
        // A thread of its own, so that the client of the API server keeps nobody from asking.
        std::thread::spawn(move || {
            for host in questions {
                if answers.send(poll(to, &host)).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            hosts,
            answered,
            seen,
            watch,
        })
    }

    async fn one(&mut self, objects: &Objects, name: &str) -> anyhow::Result<Propagation> {
        let start = Instant::now();
        self.hosts.send(host(name))?;
        objects.add_route(name, SERVICE).await?;
        let answered = self.answered.recv_timeout(PATIENCE);
        let answered = answered.with_context(|| format!("{name} is not served"))??;
        let event = loop {
            let (route, at) = self.seen.recv_timeout(PATIENCE)?;
            if route == name {
                break at;
            }
        };
        Ok(Propagation {
            served: answered.at - start,
            seen: event - start,
            odd: answered.odd,
        })
    }
}

/// Asks for a host until a route answers.
fn poll(to: SocketAddr, host: &str) -> anyhow::Result<Served> {
    let mut connection = Connection::open(to)?;
    let start = Instant::now();
    let mut odd = 0;
    loop {
        match connection.ask(host, "/")?.status {
            200 => {
                let at = Instant::now();
                return Ok(Served { at, odd });
            }
            404 => {}
            _other => odd += 1,
        }
        ensure!(start.elapsed() < PATIENCE, "{host} does not answer");
        std::thread::sleep(POLL);
    }
}
