//! Accepts connections on one socket.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use gateway_ir::{PortProtocol, ProxySettings};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::arrival::Arrival;
use crate::executor::spawn_guarded;
use crate::proxy_header::Ends;
use crate::serve::{Accepted, serve};
use crate::tracker::Tracker;
use crate::worker::{OpenConnection, Slot, Worker};

/// Pause after an error that would come again at once (no descriptors, no memory).
const PAUSE: Duration = Duration::from_millis(100);
/// The answer above the limit of connections, for clients that speak HTTP/1.1 in clear text.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The task that accepts on a socket.
#[derive(Debug)]
pub(crate) struct Acceptor {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Acceptor {
    pub(crate) fn start(worker: Rc<Worker>, listener: TcpListener) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::task::spawn_local(accept(worker, listener, stopped));
        Self { stop, task }
    }

    /// Closes the socket, after the connections that the kernel has already completed are taken.
    pub(crate) async fn close(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "an accepting task ended by a defect in the proxy");
        }
    }
}

async fn accept(worker: Rc<Worker>, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((stream, peer)) => admit(&worker, stream, peer),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections: raise the limit of open files");
                sleep(PAUSE).await;
            }
        }
    }
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        admit(&worker, stream, peer);
    }
}

fn admit(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    worker.cells.connections_opened.increment();
    let limit = worker.state().program.settings.connections_max as usize;
    if worker.connections.borrow().len() >= limit {
        worker.cells.connections_refused.increment();
        worker.cells.connections_closed.increment();
        // Best effort: a new connection's send buffer takes it at once.
        if let Err(error) = stream.try_write(BUSY) {
            tracing::debug!(%error, "a connection above the limit got no answer");
        }
        return;
    }
    let opened = stream.set_nodelay(true).and_then(|()| stream.local_addr());
    let Ok(local) = opened else {
        // The client has gone already.
        worker.cells.connections_closed.increment();
        return;
    };
    let Some((protocol, settings)) = terms(worker, local) else {
        worker.cells.connections_closed.increment();
        return;
    };
    let tracker = Arc::new(Tracker::new(Arc::clone(&worker.clock)));
    tracker.signal(worker.greeting());
    let open = OpenConnection {
        local,
        settings: Arc::clone(&settings),
        tracker: Arc::clone(&tracker),
    };
    let slot = Slot::take(worker, open);
    let accepted = Accepted {
        protocol,
        settings,
        stream,
        arrival: Arrival {
            ends: Ends::new(peer, local),
            local,
            tracker,
            slot,
        },
    };
    let serving = serve(Rc::clone(worker), accepted);
    spawn_guarded(Arc::clone(&worker.cells), serving);
}

/// What a new connection is served with, also when the configuration changes later; none: its port has just gone.
fn terms(worker: &Worker, local: SocketAddr) -> Option<(PortProtocol, Arc<ProxySettings>)> {
    let state = worker.state();
    let port = state.program.port(local)?;
    Some((port.protocol, Arc::clone(&port.settings)))
}
