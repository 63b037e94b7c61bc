//! Sends requests to endpoints: chooses one, takes or makes a connection, tries again where that is safe.

mod body;
mod endpoint;
mod link;

use gateway_ir::{Backend, ProxySettings};
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::exchange::is_idempotent;
use crate::metrics::WorkerCells;
use crate::random::Random;
use crate::refusal::Refusal;

pub(crate) use body::RequestBody;
pub(crate) use endpoint::{Endpoints, Lease};
pub(crate) use link::Purpose;
use link::{ConnectError, connect};

/// Endpoints that a request is tried on before it is refused.
const CONNECT_ATTEMPTS_MAX: usize = 3;

/// What a worker sends requests with.
#[derive(Debug)]
pub(crate) struct Upstream<'a> {
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) random: &'a Random,
    pub(crate) cells: &'a WorkerCells,
    pub(crate) settings: &'a ProxySettings,
    pub(crate) purpose: Purpose,
}

/// An endpoint's answer, and the connection that the rest of it comes from.
pub(crate) type Answer = (Response<Incoming>, Lease);

impl Upstream<'_> {
    /// Sends a request to an endpoint of the backend.
    pub(crate) async fn send(
        &self,
        backend: &Backend,
        parts: Parts,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        let mut request = Request::from_parts(parts, body);
        let mut tried = Vec::new();
        let mut refusal = Refusal::NoEndpoint;
        while let Some(endpoint) = self.endpoints.choose(backend, &tried, self.random) {
            let idle = match self.purpose {
                Purpose::Requests => endpoint.take_idle(),
                Purpose::Upgrade => None,
            };
            if let Some(mut lease) = idle {
                let again = copy_if_repeatable(&request);
                match lease.send(request).await {
                    Ok(response) => return Ok((response, lease)),
                    Err(mut failure) => {
                        // A connection that was idle may have been closed while the request was on its way.
                        let unsent = failure.take_message();
                        let lost = failure.error();
                        let repeat = unsent.or(again.filter(|_| !lost.is_parse()));
                        request = repeat.ok_or_else(|| self.protocol_error(lost))?;
                        self.cells.upstream_retries.increment();
                    }
                }
            }
            match connect(
                endpoint.address(),
                self.settings.connect_timeout,
                self.purpose,
            )
            .await
            {
                Ok(link) => {
                    self.cells.upstream_opened.increment();
                    let mut lease = Lease::new(link, &endpoint);
                    return match lease.send(request).await {
                        Ok(response) => Ok((response, lease)),
                        Err(failure) => Err(self.protocol_error(failure.error())),
                    };
                }
                Err(error) => {
                    refusal = self.connect_error(&error);
                    tried.push(endpoint.address());
                    if tried.len() == CONNECT_ATTEMPTS_MAX {
                        break;
                    }
                    self.cells.upstream_retries.increment();
                }
            }
        }
        Err(refusal)
    }

    fn protocol_error(&self, error: &hyper::Error) -> Refusal {
        if error.is_user() {
            // The body that was being sent on is the client's.
            return Refusal::Malformed("the request body broke off\n");
        }
        self.cells.upstream_protocol_errors.increment();
        tracing::debug!(%error, "an endpoint did not answer");
        Refusal::UpstreamProtocol
    }

    fn connect_error(&self, error: &ConnectError) -> Refusal {
        tracing::debug!(%error, "an endpoint cannot be connected to");
        match error {
            ConnectError::TimedOut => {
                self.cells.upstream_connect_timeouts.increment();
                Refusal::ConnectTimedOut
            }
            ConnectError::Refused(_) => {
                self.cells.upstream_connect_failures.increment();
                Refusal::ConnectFailed
            }
            ConnectError::Engine(_) => {
                self.cells.upstream_protocol_errors.increment();
                Refusal::UpstreamProtocol
            }
        }
    }
}

/// A second copy of a request that does no harm when it arrives twice.
fn copy_if_repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    match request.body() {
        RequestBody::Empty if is_idempotent(request.method()) => {
            let mut copy = Request::new(RequestBody::Empty);
            *copy.method_mut() = request.method().clone();
            *copy.uri_mut() = request.uri().clone();
            *copy.headers_mut() = request.headers().clone();
            Some(copy)
        }
        RequestBody::Empty | RequestBody::Streamed(_) => None,
    }
}
