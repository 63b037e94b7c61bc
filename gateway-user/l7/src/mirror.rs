//! Sends copies of requests. Nothing that becomes of a copy reaches the client: not its answer, its failure, its slowness.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_fn;
use gateway_ir::ProxySettings;
use http::request::Parts;
use http_body::Body;
use tokio::time::{Instant, timeout_at};

use crate::executor::spawn_guarded;
use crate::program::Mirror;
use crate::transport::Purpose;
use crate::upstream::{Answer, Policy, RequestBody, Upstream};
use crate::worker::Worker;

/// Copies that a worker has under way; above it requests are not copied.
const COPIES_MAX: usize = 512;
/// How long a copy may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Starts the copies of a request as it goes to its endpoint.
pub(crate) fn copy_to<'m>(
    mirrors: impl Iterator<Item = &'m Mirror>,
    worker: &Rc<Worker>,
    settings: &Arc<ProxySettings>,
    head: &Parts,
    body: &mut RequestBody,
) {
    for mirror in mirrors.filter(|mirror| mirror.takes_next()) {
        if worker.copies.get() >= COPIES_MAX {
            worker.cells.mirrors_dropped.increment();
            continue;
        }
        worker.copies.set(worker.copies.get() + 1);
        let under_way = UnderWay(Rc::clone(worker));
        let (settings, head, body) = (Arc::clone(settings), head.clone(), body.copy());
        let destination = mirror.destination.clone();
        spawn_guarded(Arc::clone(&worker.cells), async move {
            let upstream = Upstream {
                endpoints: &under_way.0.endpoints,
                random: &under_way.0.random,
                cells: &under_way.0.cells,
                settings: &settings,
                purpose: Purpose::Requests,
                policy: Policy {
                    deadline: Some(Instant::now() + TIME_MAX),
                    ..Policy::default()
                },
            };
            match upstream.send(&destination, head, body).await {
                Ok(answer) => discard(answer).await,
                Err(refusal) => tracing::debug!(?refusal, "a mirror did not answer"),
            }
        });
    }
}

/// A copy in the worker's count.
struct UnderWay(Rc<Worker>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let copies = &self.0.copies;
        copies.set(copies.get().saturating_sub(1));
    }
}

/// Reads an answer to its end, so that the connection can be used again.
async fn discard(answer: Answer) {
    let Answer {
        response,
        mut lease,
        until,
    } = answer;
    let mut body = response.into_body();
    let reading = async {
        while !body.is_end_stream() {
            let frame = poll_fn(|cx| {
                lease.drive(cx);
                Pin::new(&mut body).poll_frame(cx)
            });
            match frame.await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return Err(()),
                None => break,
            }
        }
        Ok(())
    };
    let until = until.unwrap_or_else(|| Instant::now() + TIME_MAX);
    if let Ok(Ok(())) = timeout_at(until, reading).await {
        lease.give_back();
    }
}
