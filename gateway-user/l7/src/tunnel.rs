//! WebSocket: after both sides have agreed to it, bytes go through as they are.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use http::Response;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

use crate::executor::spawn_guarded;
use crate::in_flight::InFlight;
use crate::upstream::Lease;

/// Connects the client's connection with the endpoint's as soon as both have left HTTP. The request counts as in flight
/// until either side ends, so a drain waits for it as for any other.
pub(crate) fn open(
    client: OnUpgrade,
    response: &mut Response<Incoming>,
    lease: Lease,
    in_flight: InFlight,
) {
    let endpoint = hyper::upgrade::on(response);
    let cells = Arc::clone(&in_flight.connection.worker.cells);
    spawn_guarded(cells, async move {
        if let Err(error) = run(client, endpoint, lease).await {
            debug!(%error, "a tunnel ended");
        }
        drop(in_flight);
    });
}

async fn run(client: OnUpgrade, endpoint: OnUpgrade, mut lease: Lease) -> Result<(), TunnelError> {
    let endpoint = {
        let mut endpoint = pin!(endpoint);
        poll_fn(|cx| {
            lease.drive(cx);
            endpoint.as_mut().poll(cx)
        })
        .await?
    };
    let client = client.await?;
    // Two buffers of fixed size: who reads slowly is waited for.
    copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(endpoint)).await?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum TunnelError {
    #[error("the upgrade did not take place")]
    Upgrade(#[from] hyper::Error),
    #[error("the connection broke off")]
    Io(#[from] std::io::Error),
}
