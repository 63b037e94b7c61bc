//! Sends copies of requests. Nothing that becomes of a copy reaches the client: not its answer, its failure, its slowness.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::ProxySettings;
use http::request::Parts;
use tokio::time::Instant;

use crate::executor::spawn_guarded;
use crate::program::Mirror;
use crate::proxy_header::Introduction;
use crate::transport::Purpose;
use crate::upstream::{Policy, RequestBody, Upstream};
use crate::worker::Worker;

/// Copies that a worker has under way; above it requests are not copied.
const COPIES_MAX: usize = 512;
/// How long a copy may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Starts the copies of a request as it goes to its endpoint.
pub(crate) fn copy_to<'m>(
    mirrors: impl Iterator<Item = &'m Mirror>,
    worker: &Rc<Worker>,
    (settings, introduction): (&Arc<ProxySettings>, Option<Introduction>),
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
                introduction,
                policy: Policy {
                    deadline: Some(Instant::now() + TIME_MAX),
                    ..Policy::default()
                },
            };
            match upstream.send(&destination, head, body).await {
                // Read to its end, so that the connection can be used again.
                Ok(answer) => drop(answer.read(Instant::now() + TIME_MAX, |_| Some(())).await),
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
