//! The proxy that serves, and for a moment the one that served before it.

use std::sync::Arc;
use std::time::Duration;

use gateway_control::Published;
use gateway_ir::Gate;
use gateway_l7::Proxy;
use tokio::task::AbortHandle;
use tracing::info;

use crate::board::Board;

/// The running proxy. When gates 1 and 2 start later, it is replaced by one behind them.
pub(super) struct Proxies {
    board: Arc<Board>,
    current: Proxy,
    /// Serves its last snapshot until the new one has its first.
    former: Option<Proxy>,
    reports: AbortHandle,
}

impl Proxies {
    pub(super) fn new(proxy: Proxy, board: Arc<Board>) -> Self {
        Self {
            reports: forward(&proxy, &board),
            board,
            current: proxy,
            former: None,
        }
    }

    pub(super) fn replace(&mut self, proxy: Proxy) {
        info!("the proxy is replaced by one behind gate 2");
        self.reports.abort();
        self.reports = forward(&proxy, &self.board);
        self.former = Some(std::mem::replace(&mut self.current, proxy));
    }

    pub(super) fn publish(&mut self, published: &Published) {
        self.current.publish(Arc::clone(&published.snapshot));
        if let Some(former) = self.former.take() {
            tokio::spawn(former.drain());
        }
    }

    /// Has each connection end with its next answer, and tells when those that are open now have ended, or the time is
    /// over.
    pub(super) fn wind_down(&self, within: Duration) -> impl Future<Output = ()> + use<> {
        self.current.wind_down(within)
    }

    /// Takes no connection any more, and returns when the last ones are answered.
    pub(super) fn turn_away(&self) -> impl Future<Output = ()> + use<> {
        self.current.turn_away()
    }

    /// Takes connections that may stay, again.
    pub(super) fn resume(&self) -> impl Future<Output = ()> + use<> {
        self.current.resume()
    }

    /// Ends both; requests in flight finish.
    pub(super) async fn drain(self) {
        if let Some(former) = self.former {
            tokio::spawn(former.drain());
        }
        self.current.drain().await;
        self.reports.abort();
    }
}

/// Shows the proxy's reports on the board until they end.
fn forward(proxy: &Proxy, board: &Arc<Board>) -> AbortHandle {
    let mut reports = proxy.reports();
    let board = Arc::clone(board);
    let task = tokio::spawn(async move {
        loop {
            let report = reports.borrow_and_update().clone();
            board.report(Gate::Proxy, report);
            if reports.changed().await.is_err() {
                return;
            }
        }
    });
    task.abort_handle()
}
