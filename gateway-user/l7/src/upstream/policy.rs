//! How often and how long a rule tries.

use std::net::SocketAddr;

use gateway_ir::{Retry, Timeouts};
use http::{Request, StatusCode};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::body::RequestBody;
use super::copy;

/// Other endpoints that a request is tried on when one cannot be connected to, if the rule does not say.
const CONNECT_RETRIES: u32 = 2;

/// How often and how long a rule tries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy<'a> {
    pub(crate) retry: Option<&'a Retry>,
    pub(crate) timeouts: Timeouts,
    /// The end of all tries together.
    pub(crate) deadline: Option<Instant>,
    /// The endpoint of the client's session.
    pub(crate) pinned: Option<SocketAddr>,
}

impl Policy<'_> {
    /// Tries beside the first.
    pub(crate) fn retries(&self) -> u32 {
        self.retry.map_or(CONNECT_RETRIES, |retry| retry.attempts)
    }

    /// Whether tries may come back to an endpoint.
    pub(super) fn goes_round(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether bodies are kept for another try.
    pub(super) fn keeps_bodies(&self) -> bool {
        self.retry.is_some_and(|retry| retry.attempts > 0)
    }

    /// Whether a status is tried again (Gateway API: `HTTPRouteRetry.codes`).
    pub(super) fn repeats(&self, status: StatusCode) -> bool {
        self.retry
            .is_some_and(|retry| retry.codes.contains(&status))
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.retry.and_then(|retry| retry.backoff))
    }

    /// The request for another try after one that endpoints may have acted on, which only a rule can ask for.
    pub(super) fn spare(
        &self,
        request: &Request<RequestBody>,
        left: u32,
    ) -> Option<Request<RequestBody>> {
        if left == 0 || !self.keeps_bodies() {
            return None;
        }
        copy(request)
    }
}
