//! A running proxy and addresses to run it on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use gateway_ir::{GateReport, Snapshot};
use gateway_l7::{Listen, Proxy, Settings};
use prometheus_client::registry::Registry;

/// Bounds each wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) proxy: Proxy,
    registry: Registry,
}

impl Rig {
    /// Starts a proxy with two workers and waits until a snapshot is in force.
    pub(crate) async fn start(snapshot: Snapshot) -> Self {
        Self::with_workers(2, snapshot).await
    }

    /// The same with another number of workers: with a single one, what it has done for one connection it has done for all.
    pub(crate) async fn with_workers(workers: usize, snapshot: Snapshot) -> Self {
        let mut registry = Registry::default();
        let settings = Settings {
            workers: NonZeroUsize::new(workers).expect("not zero"),
            listen: Listen::Addresses,
        };
        let proxy = Proxy::start(settings, &mut registry).expect("a proxy");
        let rig = Self { proxy, registry };
        rig.publish(snapshot).await;
        rig
    }

    /// Ends the proxy, and waits until its sockets are closed: another one may have its address then.
    pub(crate) async fn end(self) {
        let drained = tokio::time::timeout(PATIENCE, self.proxy.drain());
        drained.await.expect("the proxy ends");
    }

    /// Puts a snapshot into force.
    pub(crate) async fn publish(&self, snapshot: Snapshot) -> GateReport {
        let generation = snapshot.generation();
        self.proxy.publish(Arc::new(snapshot));
        self.report(|report| report.programmed == Some(generation))
            .await
    }

    /// Waits for a report.
    pub(crate) async fn report(&self, is_it: impl FnMut(&GateReport) -> bool) -> GateReport {
        let mut reports = self.proxy.reports();
        let report = tokio::time::timeout(PATIENCE, reports.wait_for(is_it)).await;
        report
            .expect("the report comes in time")
            .expect("the proxy runs")
            .clone()
    }

    /// The value of a metric line that starts like this; 0 without one.
    pub(crate) fn metric(&self, start: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics");
        let line = text.lines().find(|line| line.starts_with(start));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.map_or(0, |value| value.parse().expect("a number"))
    }
}

/// An address that no other test and no other process of these tests uses.
pub(crate) fn address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    let ip = Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::SeqCst));
    let free = TcpListener::bind((ip, 0)).expect("a free port");
    free.local_addr().expect("an address")
}

/// Waits until a condition holds that nothing announces.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "in vain: {what}");
}
