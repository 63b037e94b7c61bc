//! Starts the gates: all three where there is something to announce and the right to do so, else gate 3 alone.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context;
use gateway_control::publish::Content;
use gateway_ir::{Gate, NodeName};
use gateway_l4::OpenError;
use gateway_l7::{Listen, Proxy};
use prometheus_client::registry::Registry;
use tracing::{info, warn};

use crate::board::{Board, Part};
use crate::config::Config;
use crate::gates::{self, Gates, Leave};

/// What the log says, once, with the reason in a field.
pub(super) const OFF: &str =
    "gate 1 (announce) and gate 2 (steer) are off, gate 3 (proxy) runs on ordinary sockets";

/// What the gates are started with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    gates: gates::Settings,
    workers: NonZeroUsize,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            gates: gates::Settings {
                node: config.node.clone(),
                bpf_root: config.bpf_root.clone(),
                interfaces: config.interfaces.clone(),
            },
            workers: config.workers,
        }
    }

    /// This node.
    pub(super) fn node(&self) -> &NodeName {
        &self.gates.node
    }

    /// What gates 1 and 2 are started with.
    pub(super) fn gates(&self) -> gates::Settings {
        self.gates.clone()
    }
}

/// Whether there is something to announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pools {
    None,
    Configured,
}

impl Pools {
    pub(super) fn of(content: &Content) -> Self {
        if content.has_pools() {
            Self::Configured
        } else {
            Self::None
        }
    }
}

/// The gates that run.
pub(super) struct Started {
    pub(super) gates: Option<Gates>,
    pub(super) proxy: Proxy,
    /// Why gates 1 and 2 do not.
    pub(super) off: Option<String>,
}

/// Starts what can run here.
///
/// # Errors
/// When the proxy cannot start, or another agent has the same pins: two agents would take each other's packets.
pub(super) fn start(
    settings: &Settings,
    board: &Arc<Board>,
    pools: Pools,
) -> anyhow::Result<Started> {
    let why = match pools {
        Pools::None => {
            let why = "no address pool is configured";
            info!(why, "{OFF}");
            why.to_owned()
        }
        Pools::Configured => match together(settings, board) {
            Ok((gates, proxy)) => {
                return Ok(Started {
                    gates: Some(gates),
                    proxy,
                    off: None,
                });
            }
            Err(error) if is_in_use(&error) => return Err(error),
            Err(error) => {
                let why = format!("{error:#}");
                warn!(why, "{OFF}");
                why
            }
        },
    };
    show_off(board, &why);
    Ok(Started {
        gates: None,
        proxy: start_proxy(settings, board, Listen::Addresses)?,
        off: Some(why),
    })
}

/// Starts gates 1 and 2, and a proxy behind them.
///
/// # Errors
/// When one of them cannot start; nothing of the others is left then.
pub(super) fn together(settings: &Settings, board: &Arc<Board>) -> anyhow::Result<(Gates, Proxy)> {
    let gates = Gates::start(settings.gates.clone(), Arc::clone(board))?;
    match steered(settings, board, &gates) {
        Ok(proxy) => Ok((gates, proxy)),
        Err(error) => {
            gates.end(Leave::Nothing);
            Err(error)
        }
    }
}

/// Shows which gates are off, and why.
pub(super) fn show_off(board: &Board, why: &str) {
    board.off(Gate::Announce, why);
    board.off(Gate::Steer, why);
}

/// Tells whether another process has the pins.
pub(super) fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse { .. }))
}

/// Starts the proxy behind gate 2.
fn steered(settings: &Settings, board: &Board, gates: &Gates) -> anyhow::Result<Proxy> {
    let proxy = transparent(settings, board)?;
    steer(&proxy, gates)?;
    Ok(proxy)
}

/// Starts a proxy that serves what is steered to it.
///
/// # Errors
/// When it cannot start.
pub(super) fn transparent(settings: &Settings, board: &Board) -> anyhow::Result<Proxy> {
    start_proxy(settings, board, Listen::Transparent)
}

/// Has new connections go to a proxy.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn steer(proxy: &Proxy, gates: &Gates) -> anyhow::Result<()> {
    let sockets = proxy.sockets().into_iter();
    let sockets: Result<Vec<OwnedFd>, _> = sockets.map(|it| it.try_clone_to_owned()).collect();
    gates
        .proxy(sockets?)
        .context("cannot steer packets to the proxy")
}

fn start_proxy(settings: &Settings, board: &Board, listen: Listen) -> anyhow::Result<Proxy> {
    let mut registry = Registry::with_prefix("sanmon");
    let settings = gateway_l7::Settings {
        workers: settings.workers,
        listen,
    };
    let proxy = Proxy::start(settings, &mut registry).context("cannot start the proxy")?;
    board.registry(Part::Proxy, registry);
    board.explainers(proxy.explainers());
    Ok(proxy)
}
