//! `sanmon run` and `sanmon agent`: starts the parts, connects them, and ends them in order.

mod proxy;
mod shutdown;
mod start;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gateway_announce::membership::pair;
use gateway_control::cluster::Outlook;
use gateway_control::leader::arbiter::{Arbitration, Verdict};
use gateway_control::publish::Content;
use gateway_control::{Cluster, FolderSource, Published, Publisher};
use gateway_ir::Mac;
use gateway_translate::{Announce, Settings};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::proxy::Proxies;
use self::shutdown::Signals;
use self::start::{Pools, Started};
use crate::admin::{self, Pages};
use crate::agent;
use crate::board::{Board, GatesOff, Routed};
use crate::cli::LogArguments;
use crate::config::{AtInterrupt, Config, Source};
use crate::gates::{Gates, Leave};
use crate::interfaces::Present;
use crate::routes::{self, Routes};
use crate::{interfaces, memory, telemetry};

/// What failed is tried again after this time: people remove what was in the way within minutes.
const RETRY: Duration = Duration::from_secs(5);

/// Runs until a signal ends it.
pub(crate) fn run(
    log: &LogArguments,
    config: impl FnOnce() -> anyhow::Result<Config>,
) -> anyhow::Result<ExitCode> {
    telemetry::init(log)?;
    let config = config()?;
    // Requests are served on the proxy's own threads; this runtime only coordinates.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))?;
    // A task that waits for a slow peer must not hold the process.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let publisher = Publisher::start()?;
    tokio::spawn(memory::give_back(publisher.published(), memory::REST));
    let gates_off = match config.source {
        Source::Folder(_) => GatesOff::Noted,
        Source::Cluster(_) => GatesOff::Unready,
    };
    let board = Board::new(config.node.clone(), publisher.published(), gates_off);
    let board = Arc::new(board);
    admin::start(config.admin, Pages::All, Arc::clone(&board))?;
    if let Some(address) = config.metrics {
        admin::start(address, Pages::Monitoring, Arc::clone(&board))?;
    }
    let interfaces = interfaces::watch().await;
    let settings = start::Settings::of(&config);
    let (sender, mut pools) = watch::channel(None);
    let sink = publisher.clone();
    let sink = move |content: Content| {
        let pools = Some(Pools::of(&content));
        sender.send_if_modified(|last| std::mem::replace(last, pools) != pools);
        sink.content(content);
    };
    // Dropped at the end: it holds the thread that watches.
    let verdicts = Arc::new(watch::Sender::new(Verdict::None));
    let _source = start_source(config.source, &board, Arc::clone(&verdicts), sink)?;
    let first = tokio::select! {
        first = pools.wait_for(Option::is_some) => first?.unwrap_or(Pools::None),
        // An API server may be waited for, and nothing runs yet.
        _ = signals.next() => return Ok(()),
    };
    let Started { gates, proxy, off } = start::start(&settings, &board, first)?;
    let mut wire = Wire {
        published: publisher.published(),
        publisher,
        proxies: Proxies::new(proxy, Arc::clone(&board)),
        aside: board.aside(),
        board,
        routes: None,
        interfaces,
        gates,
        settings,
        off,
        gates_off,
        told: None,
        running: None,
        pools,
        verdicts: verdicts.subscribe(),
        routed: None,
        retry: Some(Instant::now() + RETRY),
    };
    wire.move_interfaces().await;
    let interrupted = wire.follow(signals.next()).await?;
    let leave = match (interrupted, config.at_interrupt) {
        (shutdown::Signal::Interrupt, AtInterrupt::Remove) => Leave::Nothing,
        (shutdown::Signal::Interrupt, AtInterrupt::Keep) | (shutdown::Signal::Terminate, _) => {
            Leave::Pins
        }
    };
    signals.end_at_the_next();
    wire.end(leave).await;
    Ok(())
}

/// What reads the objects.
#[derive(Debug)]
enum Running {
    Folder(#[expect(dead_code, reason = "held for its Drop")] FolderSource),
    Cluster(#[expect(dead_code, reason = "held for its Drop")] Cluster),
}

fn start_source(
    source: Source,
    board: &Arc<Board>,
    verdict: Arc<watch::Sender<Verdict>>,
    sink: impl Fn(Content) + Send + 'static,
) -> anyhow::Result<Running> {
    Ok(match source {
        Source::Folder(folder) => Running::Folder(FolderSource::start(folder, sink)?),
        Source::Cluster(settings) => {
            let outlook = Outlook {
                statuses: agent::wanted(Arc::clone(board))?,
                published: board.publications(),
                candidacy: board.candidacy(),
                events: agent::events(board),
                arbitration: Arbitration {
                    wanted: board.arbiter_wanted(),
                    verdict,
                },
            };
            Running::Cluster(Cluster::start(*settings, outlook, sink)?)
        }
    })
}

/// The addresses that no pool may hold; those of a link alone are in no pool's reach.
fn own_addresses(present: &Present) -> Vec<IpAddr> {
    let addresses = present.all().flat_map(|it| &it.addresses);
    let mut own: Vec<_> = addresses.map(ipnet::IpNet::addr).collect();
    own.retain(|address| match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    });
    own.sort();
    own
}

/// Waits until the other side speaks or is gone; for ever where there is none.
async fn told(done: &mut Option<oneshot::Receiver<()>>) {
    match done {
        Some(done) => {
            if done.await.is_err() {
                warn!("the thread of gates 1 and 2 has ended");
            }
        }
        None => std::future::pending().await,
    }
}

/// Waits until a time; for ever where there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The running parts.
struct Wire {
    publisher: Publisher,
    published: watch::Receiver<Option<Arc<Published>>>,
    board: Arc<Board>,
    proxies: Proxies,
    gates: Option<Gates>,
    routes: Option<Routes>,
    interfaces: watch::Receiver<Present>,
    settings: start::Settings,
    /// Why gates 1 and 2 are off.
    off: Option<String>,
    /// What that means.
    gates_off: GatesOff,
    /// What the translation was told last.
    told: Option<Settings>,
    /// Tells when gates 1 and 2 run the newest publication.
    running: Option<oneshot::Receiver<()>>,
    pools: watch::Receiver<Option<Pools>>,
    /// Addresses that other machines have.
    aside: watch::Receiver<BTreeMap<IpAddr, Mac>>,
    /// What decides between two nodes that do not hear each other.
    verdicts: watch::Receiver<Verdict>,
    /// What was shown of the routes last.
    routed: Option<Routed>,
    /// When what failed is tried again.
    retry: Option<Instant>,
}

impl Wire {
    /// Follows every change until something has come to its end.
    async fn follow<T>(&mut self, until: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut until = pin!(until);
        loop {
            tokio::select! {
                ended = &mut until => return Ok(ended),
                changed = self.published.changed() => {
                    changed?;
                    self.distribute();
                }
                () = told(&mut self.running) => {
                    self.running = None;
                    self.route_newest().await;
                }
                changed = self.interfaces.changed() => {
                    changed?;
                    self.move_interfaces().await;
                }
                changed = self.pools.changed() => {
                    changed?;
                    self.switch_on();
                }
                Ok(()) = self.aside.changed() => self.translate(),
                Ok(()) = self.verdicts.changed() => self.judge(),
                () = at(self.retry) => {
                    self.retry = None;
                    self.switch_on();
                    self.route_newest().await;
                }
            }
        }
    }

    /// Hands the newest publication to every part. Routes are for when the gates run it: a large one takes a while, and
    /// signals do not wait.
    fn distribute(&mut self) {
        let newest = self.published.borrow_and_update().clone();
        let Some(published) = newest else {
            return;
        };
        self.proxies.publish(&published);
        self.running = self.gates.as_ref().map(|gates| gates.run(published));
    }

    /// Interfaces came, went or changed their addresses.
    async fn move_interfaces(&mut self) {
        let present = self.interfaces.borrow_and_update().clone();
        debug!(up = present.up.len(), "interfaces changed");
        if let Some(gates) = &self.gates {
            gates.interfaces(present);
        }
        self.translate();
        if self.running.is_none() {
            self.route_newest().await;
        }
    }

    fn judge(&mut self) {
        let verdict = *self.verdicts.borrow_and_update();
        if let Some(gates) = &self.gates {
            gates.judge(match verdict {
                Verdict::None => pair::Verdict::None,
                Verdict::Pending => pair::Verdict::Pending,
                Verdict::Mine => pair::Verdict::Mine,
                Verdict::Other => pair::Verdict::Other,
            });
        }
    }

    /// Tells the translation what it must know of this machine.
    fn translate(&mut self) {
        let settings = Settings {
            own_addresses: own_addresses(&self.interfaces.borrow()),
            announce: match (&self.off, self.gates_off) {
                (Some(why), GatesOff::Noted) => Announce::Off(why.clone()),
                // In a cluster a Gateway waits for an address of a pool: those of this machine are of no other node.
                (Some(_), GatesOff::Unready) | (None, _) => Announce::On,
            },
            aside: self.aside.borrow_and_update().clone(),
            ..Settings::default()
        };
        // Most changes of interfaces are those of pods, which change no address of the node.
        if self.told.as_ref() != Some(&settings) {
            self.told = Some(settings.clone());
            self.publisher.settings(settings);
        }
    }

    /// Gates 1 and 2 start as soon as there is a pool; they stay when it goes, to guard what is left. What is in their way
    /// may go: an object of another program, a missing right.
    fn switch_on(&mut self) {
        let is_wanted = *self.pools.borrow_and_update() == Some(Pools::Configured);
        if self.gates.is_some() || !is_wanted {
            return;
        }
        match start::together(&self.settings, &self.board) {
            Ok((gates, proxy)) => {
                info!("gates 1 and 2 are on");
                self.off = None;
                self.proxies.replace(proxy);
                gates.interfaces(self.interfaces.borrow().clone());
                self.gates = Some(gates);
            }
            Err(error) => {
                let why = format!("{error:#}");
                if self.off.as_ref() != Some(&why) {
                    warn!(why, "{}", start::OFF);
                    start::show_off(&self.board, &why);
                    self.off = Some(why);
                }
                self.retry.get_or_insert_with(|| Instant::now() + RETRY);
            }
        }
        self.translate();
    }

    /// Sets the routes that the newest publication needs.
    async fn route_newest(&mut self) {
        let published = self.published.borrow().clone();
        if let (Some(_), Some(published)) = (&self.gates, published) {
            self.route(&published).await;
        }
    }

    async fn route(&mut self, published: &Published) {
        let wanted = routes::wanted(&published.snapshot, &self.interfaces.borrow().up);
        let result = match self.connect_routes() {
            Ok(routes) => routes.sync(wanted.clone()).await,
            Err(error) => Err(error),
        };
        let unset = result.unwrap_or_else(|error| {
            let all = wanted.into_keys();
            all.map(|vip| (vip, format!("{error:#}"))).collect()
        });
        let failures = routes::failures(&published.snapshot, &unset);
        if !failures.is_empty() {
            self.retry.get_or_insert_with(|| Instant::now() + RETRY);
        }
        let routed = Routed {
            generation: published.generation,
            failures,
        };
        if self.routed.as_ref() != Some(&routed) {
            for (vip, why) in &unset {
                warn!(%vip, why, "a VIP has no route to the proxy");
            }
            self.board.routed(routed.clone());
            self.routed = Some(routed);
        }
    }

    fn connect_routes(&mut self) -> anyhow::Result<&mut Routes> {
        match &mut self.routes {
            Some(routes) => Ok(routes),
            empty => Ok(empty.insert(Routes::connect()?)),
        }
    }

    /// Gives the VIPs away, lets requests in flight finish, and leaves behind what is to stay.
    async fn end(mut self, leave: Leave) {
        let published = self.published.borrow().clone();
        let within = published
            .map(|it| it.snapshot.proxy.drain_timeout)
            .unwrap_or_default();
        info!(?leave, "ending");
        self.board.drain(within);
        if self.gates.is_some() {
            self.hand_over(within).await;
        }
        self.proxies.drain().await;
        if leave == Leave::Nothing
            && let Some(routes) = &mut self.routes
            && let Err(error) = routes.remove().await
        {
            warn!(error = format!("{error:#}"), "a route stays behind");
        }
        if let Some(gates) = self.gates {
            gates.end(leave);
        }
        info!("ended");
    }

    /// The next owner of a VIP knows nothing of the proxy's connections, and resets them: they end before, while new ones
    /// are still served, and by the newest configuration.
    async fn hand_over(&mut self, within: Duration) {
        let ended = self.proxies.wind_down(within);
        if let Err(error) = self.follow(ended).await {
            warn!(error = format!("{error:#}"), "connections are broken off");
        }
        self.proxies.turn_away().await;
        if let Some(gates) = &self.gates {
            gates.silence();
        }
    }
}
