//! `sanmon run` and `sanmon agent`: starts the parts, connects them, and ends them in order.

mod beginning;
mod cordon;
mod entrance;
mod proxy;
mod shutdown;
mod start;
mod succession;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gateway_announce::membership::pair;
use gateway_control::leader::arbiter::Verdict;
use gateway_control::{Published, Publisher};
use gateway_ir::Mac;
use gateway_translate::{Announce, Settings};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::cordon::Standing;
use self::proxy::Proxies;
use self::shutdown::{Signal, Signals};
use self::start::Pools;
use self::succession::{Retirement, Succession};
use crate::board::{Board, GatesOff, Routed};
use crate::cli::LogArguments;
use crate::config::{AtInterrupt, Config, Source};
use crate::gates::{Gates, Leave};
use crate::interfaces::Present;
use crate::routes::{self, Routes};
use crate::succession::State;
use crate::telemetry;

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
    let at_interrupt = config.at_interrupt;
    let retirement = match config.source {
        Source::Folder(_) => Retirement::End,
        Source::Cluster(_) => Retirement::Wait,
    };
    let mut wire = tokio::select! {
        wire = beginning::begin(config) => wire?,
        // An API server may be waited for, or another process, and nothing runs yet.
        _ = signals.next() => return Ok(()),
    };
    let state = wire.succession.state();
    let ended = async {
        tokio::select! {
            signal = signals.next() => Some(signal),
            () = succession::decided(state.clone()) => None,
        }
    };
    let leave = match (wire.follow(ended).await?, at_interrupt) {
        (None, _) => return wire.retire(Some(signals), retirement).await,
        (Some(Signal::Interrupt), AtInterrupt::Remove) => Leave::Nothing,
        (Some(Signal::Interrupt), AtInterrupt::Keep) | (Some(Signal::Terminate), _) => Leave::Pins,
    };
    signals.end_at_the_next();
    wire.follow(succession::settled(state.clone())).await?;
    wire.succession.close();
    let state = *state.borrow();
    match state {
        State::Handed | State::Orphaned => return wire.retire(None, Retirement::End).await,
        State::Alone | State::Preparing | State::Handing => {}
    }
    wire.end(leave).await;
    Ok(())
}

/// What the translation must know of this machine.
fn translation(
    own_addresses: Vec<IpAddr>,
    announce: Announce,
    aside: BTreeMap<IpAddr, Mac>,
) -> Settings {
    Settings {
        own_addresses,
        announce,
        aside,
        ..Settings::default()
    }
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
    standing: Standing,
    /// What decides between two nodes that do not hear each other.
    verdicts: watch::Receiver<Verdict>,
    /// What was shown of the routes last.
    routed: Option<Routed>,
    succession: Succession,
    #[expect(dead_code, reason = "held for its Drop: it has the threads that watch")]
    source: beginning::Running,
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
                () = self.standing.is_due() => self.step_back(),
                Some(call) = self.succession.called() => self.answer(call),
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
        self.heed_cordon(&published);
        // One without addresses of pools comes from before these gates, and another one is on its way.
        let gates = match published.announce {
            Announce::On => self.gates.as_ref(),
            Announce::Off(_) => None,
        };
        self.running = gates.map(|gates| gates.run(published));
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
        let announce = match (&self.off, self.gates_off) {
            (Some(why), GatesOff::Noted) => Announce::Off(why.clone()),
            // In a cluster a Gateway waits for an address of a pool: those of this machine are of no other node.
            (Some(_), GatesOff::Unready) | (None, _) => Announce::On,
        };
        let own = own_addresses(&self.interfaces.borrow());
        let aside = self.aside.borrow_and_update().clone();
        let settings = translation(own, announce, aside);
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
        let is_ours = match *self.succession.state().borrow() {
            State::Alone | State::Preparing => true,
            State::Handing | State::Handed | State::Orphaned => false,
        };
        if self.gates.is_some() || !is_wanted || !is_ours {
            return;
        }
        match start::together(&self.settings, &self.board) {
            Ok((gates, proxy)) => {
                info!("gates 1 and 2 are on");
                self.off = None;
                self.proxies.replace(proxy);
                gates.interfaces(self.interfaces.borrow().clone());
                self.gates = Some(gates);
                // What was published before the pool was noticed is theirs, too.
                self.published.mark_changed();
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

    fn drain_timeout(&self) -> Duration {
        let published = self.published.borrow();
        let drain_timeout = published.as_ref().map(|it| it.snapshot.proxy.drain_timeout);
        drain_timeout.unwrap_or_default()
    }

    /// Gives the VIPs away, lets requests in flight finish, and leaves behind what is to stay.
    async fn end(mut self, leave: Leave) {
        let within = self.drain_timeout();
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
        self.standing = Standing::Ending;
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
