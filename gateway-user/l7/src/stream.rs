//! Connections that are not HTTP: bytes from the client to an endpoint and back, as they are.

use std::net::SocketAddr;
use std::rc::Rc;

use gateway_ir::ProxySettings;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};

use crate::program::StreamRule;
use crate::proxy_header::Introduction;
use crate::refusal::Refusal;
use crate::tracker::Tracker;
use crate::transport::Purpose;
use crate::upstream::{Policy, Upstream};
use crate::worker::Worker;

/// Relays a connection until either side ends it. It counts as a request in flight: a drain waits for it, and it has no
/// idle deadline, because only the two ends know what silence means to them.
pub(crate) async fn relay(
    worker: &Rc<Worker>,
    tracker: &Tracker,
    (settings, introduction): (&ProxySettings, Option<Introduction>),
    (mut client, first): (impl AsyncRead + AsyncWrite + Unpin, &[u8]),
    rule: &StreamRule,
) {
    tracker.request_started();
    let peer = match connect(worker, settings, introduction, rule).await {
        Ok(peer) => peer,
        Err(refusal) => {
            // Nothing is said to the client, whose protocol is not known: the connection just ends.
            tracing::debug!(?refusal, rule = %rule.id, "no endpoint for a connection");
            return;
        }
    };
    let (mut wire, _busy, address) = peer;
    let relayed = async {
        wire.write_all(first).await?;
        // Two buffers of fixed size: who reads slowly is waited for.
        copy_bidirectional(&mut client, &mut wire).await
    };
    if let Err(error) = relayed.await {
        tracing::debug!(%error, %address, "a relayed connection broke off");
    }
}

type Peer = (crate::upstream::Wire, crate::upstream::Busy, SocketAddr);

async fn connect(
    worker: &Rc<Worker>,
    settings: &ProxySettings,
    introduction: Option<Introduction>,
    rule: &StreamRule,
) -> Result<Peer, Refusal> {
    let share = rule.shares.draw(&worker.random);
    let destination = share.ok_or(Refusal::NoBackend)?.as_ref();
    let upstream = Upstream {
        endpoints: &worker.endpoints,
        random: &worker.random,
        cells: &worker.cells,
        settings,
        purpose: Purpose::Stream,
        introduction,
        policy: Policy::default(),
    };
    upstream
        .connect(destination.map_err(|refusal| *refusal)?)
        .await
}
