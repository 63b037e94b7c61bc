//! How a process begins: at once where nobody else serves the node, else as the successor of the process that does.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use gateway_control::leader::Candidacy;
use gateway_control::{Published, Publisher};
use gateway_l7::Proxy;
use gateway_translate::Announce;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant, sleep};
use tracing::{info, warn};

use super::start::{self, Pools, Settings, Started};
use crate::board::Board;
use crate::gates::{Gates, Leave};
use crate::interfaces::Present;
use crate::succession::{Found, Inheritance, Line, Place, Post, Predecessor};

/// How long a process that was killed may hold what it had.
const CLOSE_MAX: Duration = Duration::from_secs(5);
const CLOSE_CHECK: Duration = Duration::from_millis(20);

/// Who is there already.
pub(super) enum Entrance {
    /// Nobody, as far as this process is to know.
    Free(Option<Post>),
    /// A process that can hand over.
    Beside(Place, Predecessor),
    /// A process that cannot.
    Behind(Place),
}

/// What a process begins with.
pub(super) struct Entered {
    pub(super) started: Started,
    /// The right to be found by the next process.
    pub(super) post: Option<Post>,
    /// Sockets of the admin servers of the process before.
    pub(super) opened: Vec<TcpListener>,
    /// The line to it.
    pub(super) line: Option<Line>,
}

impl Entered {
    fn alone(started: Started, post: Option<Post>) -> Self {
        Self {
            started,
            post,
            opened: Vec::new(),
            line: None,
        }
    }
}

/// What a beginning needs.
pub(super) struct Outset<'a> {
    pub(super) settings: &'a Settings,
    pub(super) board: &'a Arc<Board>,
    pub(super) publisher: &'a Publisher,
    pub(super) interfaces: watch::Receiver<Present>,
    pub(super) pools: watch::Receiver<Option<Pools>>,
}

impl Entrance {
    /// Looks who is there, and waits for its attention.
    pub(super) async fn find(run_dir: Option<&Path>) -> anyhow::Result<Self> {
        let Some(run_dir) = run_dir else {
            return Ok(Self::Free(None));
        };
        let place = Place::open(run_dir)?;
        let look = move || match place.find()? {
            Found::Nobody(post) => Ok(Self::Free(Some(post))),
            Found::Somebody(stream) => {
                info!("another process serves this node, and is asked to hand over");
                Ok(match Predecessor::greet(stream) {
                    Ok(predecessor) => Self::Beside(place, predecessor),
                    Err(error) => {
                        waits(&error);
                        Self::Behind(place)
                    }
                })
            }
        };
        spawn_blocking(look).await?
    }

    /// Whether nobody else speaks for the node.
    pub(super) fn is_free(&self) -> bool {
        match self {
            Self::Free(_) => true,
            Self::Beside(..) | Self::Behind(_) => false,
        }
    }

    /// Starts what can run here, as soon as it may.
    pub(super) async fn enter(self, outset: Outset<'_>) -> anyhow::Result<Entered> {
        let place = match self {
            Self::Free(post) => return outset.begin(post),
            Self::Behind(place) => place,
            Self::Beside(place, predecessor) => match outset.succeed(predecessor).await {
                Ok(entered) => return Ok(entered),
                Err(error) => {
                    waits(&error);
                    place
                }
            },
        };
        let post = spawn_blocking(move || place.wait()).await??;
        outset.board.stand(Candidacy::Stands);
        outset.begin_after(post).await
    }
}

impl Outset<'_> {
    fn begin(&self, post: Option<Post>) -> anyhow::Result<Entered> {
        let pools = self.pools.borrow().unwrap_or(Pools::None);
        let started = start::start(self.settings, self.board, pools)?;
        Ok(Entered::alone(started, post))
    }

    /// The same right after the end of another process, which may still be closing its files.
    async fn begin_after(&self, post: Post) -> anyhow::Result<Entered> {
        let start = Instant::now();
        loop {
            let pools = self.pools.borrow().unwrap_or(Pools::None);
            match start::start(self.settings, self.board, pools) {
                Ok(started) => return Ok(Entered::alone(started, Some(post))),
                Err(error) if start::is_in_use(&error) && start.elapsed() < CLOSE_MAX => {
                    sleep(CLOSE_CHECK).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes everything over. What has begun is ended when something fails.
    async fn succeed(&self, predecessor: Predecessor) -> anyhow::Result<Entered> {
        let is_wanted = *self.pools.borrow() == Some(Pools::Configured);
        ensure!(
            is_wanted,
            "without an address pool there is nothing to take over"
        );
        let proxy = start::transparent(self.settings, self.board)?;
        match self.take_over(&proxy, predecessor).await {
            Ok((gates, inheritance)) => {
                info!("this process serves the node now");
                let Inheritance {
                    line,
                    bequest,
                    post,
                    admin,
                } = inheritance;
                gates.inherit(bequest);
                Ok(Entered {
                    started: Started {
                        gates: Some(gates),
                        proxy,
                        off: None,
                    },
                    post: Some(post),
                    opened: admin,
                    line: Some(line),
                })
            }
            Err(error) => {
                proxy.drain().await;
                Err(error)
            }
        }
    }

    async fn take_over(
        &self,
        proxy: &Proxy,
        mut predecessor: Predecessor,
    ) -> anyhow::Result<(Gates, Inheritance)> {
        let published = self.compile(proxy).await?;
        let asked = spawn_blocking(move || (predecessor.ask(), predecessor));
        let (lock, predecessor) = asked.await?;
        let gates = Gates::start_beside(self.settings.gates(), lock?, Arc::clone(self.board))?;
        let steered = match self.steer(proxy, &gates, published).await {
            Ok(()) => spawn_blocking(move || predecessor.take_over()).await?,
            Err(error) => Err(error),
        };
        match steered {
            Ok(inheritance) => Ok((gates, inheritance)),
            Err(error) => {
                gates.end(Leave::Pins);
                Err(error)
            }
        }
    }

    /// Waits until the proxy could serve.
    async fn compile(&self, proxy: &Proxy) -> anyhow::Result<Arc<Published>> {
        let own = super::own_addresses(&self.interfaces.borrow());
        let settings = super::translation(own, Announce::On, BTreeMap::new());
        self.publisher.settings(settings);
        let mut published = self.publisher.published();
        let published = published.wait_for(Option::is_some).await?.clone();
        let published = published.context("there is no configuration")?;
        proxy.publish(Arc::clone(&published.snapshot));
        let generation = Some(published.generation);
        let mut reports = proxy.reports();
        let _report = reports.wait_for(|it| it.programmed == generation).await?;
        Ok(published)
    }

    /// Waits until packets go to the proxy, and gate 2 says what is configured.
    async fn steer(
        &self,
        proxy: &Proxy,
        gates: &Gates,
        published: Arc<Published>,
    ) -> anyhow::Result<()> {
        gates.interfaces(self.interfaces.borrow().clone());
        let steered = gates.run(published);
        start::steer(proxy, gates)?;
        steered.await.context("gates 1 and 2 have ended")
    }
}

fn waits(error: &anyhow::Error) {
    let why = format!("{error:#}");
    warn!(
        why,
        "nothing is handed over; this process waits for the end of the other one"
    );
}
