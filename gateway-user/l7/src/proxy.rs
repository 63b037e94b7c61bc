//! The public handle of the proxy: starts the workers, hands them snapshots, ends them.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use gateway_ir::{GateReport, Snapshot};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

/// How the proxy runs; what it serves comes with the snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Threads that serve, each with its own runtime and connections.
    pub workers: NonZeroUsize,
    /// Where connections come from.
    pub listen: Listen,
}

/// Where connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Sockets on the addresses of every port of the snapshot; a port without addresses is bound on `0.0.0.0` and `::`.
    Addresses,
    /// One transparent socket per worker on 127.0.0.1, which gate 2 feeds; the port is found by a connection's local
    /// address. Needs `CAP_NET_ADMIN`.
    Transparent,
}

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A thread or its runtime.
    #[error("cannot start proxy worker {index}")]
    Worker {
        /// Which one, from 0.
        index: usize,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The socket that gate 2 feeds.
    #[error("cannot open a transparent socket (it needs CAP_NET_ADMIN; ordinary sockets do not)")]
    Transparent(#[source] std::io::Error),
}

/// The running proxy.
#[derive(Debug)]
pub struct Proxy {
    reports: watch::Sender<GateReport>,
}

impl Proxy {
    /// Starts the workers; they serve nothing before the first snapshot.
    ///
    /// # Errors
    /// When a worker cannot start, or a transparent socket cannot be opened.
    pub fn start(_settings: Settings, _registry: &mut Registry) -> Result<Self, StartError> {
        let off = Some("this build has no proxy engine".to_owned());
        let (reports, _receiver) = watch::channel(GateReport {
            off,
            ..GateReport::default()
        });
        Ok(Self { reports })
    }

    /// The transparent sockets in worker order; none with [`Listen::Addresses`].
    pub fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// Makes a snapshot the one that is served. Returns at once; [`Self::reports`] says when it is in force.
    pub fn publish(&self, _snapshot: Arc<Snapshot>) {}

    /// What is in force and what is not.
    pub fn reports(&self) -> watch::Receiver<GateReport> {
        self.reports.subscribe()
    }

    /// Stops accepting, lets the requests in flight finish within `ProxySettings::drain_timeout`, and ends the workers.
    pub async fn drain(self) {
        tokio::task::yield_now().await;
    }
}
