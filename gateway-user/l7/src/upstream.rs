//! Sends requests to endpoints: chooses one, takes or makes a connection, tries again where that is safe or asked for.

mod backoff;
mod body;
mod endpoint;
mod form;
mod link;
mod policy;
mod wire;

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::poll_fn;
use gateway_ir::ProxySettings;
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::metrics::WorkerCells;
use crate::proxy_header::Introduction;
use crate::random::Random;
use crate::refusal::Refusal;
use crate::transport::{Destination, Purpose, Transport};

use backoff::Backoff;
use body::BROKEN_OFF;
pub(crate) use body::RequestBody;
use endpoint::Endpoint;
pub(crate) use endpoint::{Busy, Endpoints, Lease};
use link::{ConnectError, Link, dial};
pub(crate) use policy::Policy;
pub(crate) use wire::Wire;

/// What a worker sends a request with.
#[derive(Debug)]
pub(crate) struct Upstream<'a> {
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) random: &'a Random,
    pub(crate) cells: &'a Arc<WorkerCells>,
    pub(crate) settings: &'a ProxySettings,
    pub(crate) purpose: Purpose,
    /// What endpoints are told before the first byte, by the PROXY protocol.
    pub(crate) introduction: Option<Introduction>,
    pub(crate) policy: Policy<'a>,
}

/// An endpoint's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    /// The connection that the rest of it comes from.
    pub(crate) lease: Lease,
    /// When the rest must have come.
    pub(crate) until: Option<Instant>,
}

impl Answer {
    /// Reads the rest, so that the connection can be used again; ends with it when `take` wants no more.
    pub(crate) async fn read(
        self,
        until: Instant,
        mut take: impl FnMut(Frame<Bytes>) -> Option<()>,
    ) -> Option<()> {
        let Self {
            response,
            mut lease,
            until: own,
        } = self;
        let mut body = response.into_body();
        let reading = async {
            while !body.is_end_stream() {
                let frame = poll_fn(|cx| {
                    lease.drive(cx);
                    Pin::new(&mut body).poll_frame(cx)
                });
                match frame.await {
                    Some(Ok(frame)) => take(frame)?,
                    Some(Err(_)) => return None,
                    None => break,
                }
            }
            Some(())
        };
        let until = own.map_or(until, |own| own.min(until));
        timeout_at(until, reading).await.ok()??;
        lease.give_back();
        Some(())
    }
}

/// Why a try has no answer.
#[derive(Debug)]
enum Failure {
    /// No byte was sent: the request is as good as new, and in its place again.
    Unsent(Refusal),
    /// The endpoint may have acted on it.
    Lost(Refusal),
    /// The client broke off.
    Client(Refusal),
}

/// What is left to try.
struct Tries {
    left: u32,
    tried: Vec<SocketAddr>,
    backoff: Backoff,
}

impl Upstream<'_> {
    /// Sends a request to an endpoint of the backend.
    pub(crate) async fn send(
        &self,
        destination: &Destination,
        parts: Parts,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        let body = if self.policy.keeps_bodies() {
            body.keep(self.settings.replay_bytes_max as usize)
        } else {
            body
        };
        let mut request = Request::from_parts(parts, body);
        let request = &mut request;
        match self.policy.deadline {
            None => self.try_endpoints(destination, request).await,
            Some(deadline) => timeout_at(deadline, self.try_endpoints(destination, request))
                .await
                .unwrap_or(Err(Refusal::TimedOut)),
        }
    }

    async fn try_endpoints(
        &self,
        destination: &Destination,
        request: &mut Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let mut tries = Tries {
            left: self.policy.retries(),
            tried: Vec::new(),
            backoff: self.policy.backoff(),
        };
        let mut last = Refusal::NoEndpoint;
        loop {
            let Some(endpoint) = self.choose(destination, &tries.tried) else {
                if tries.tried.is_empty() || !self.policy.goes_round() {
                    return Err(last);
                }
                // None accepts connections: those that refused first may have come up.
                tries.tried.clear();
                sleep(tries.backoff.pause(self.random)).await;
                continue;
            };
            let spare = self.policy.spare(request, tries.left).map(Box::new);
            let pause = match self.try_once(&endpoint, destination, request).await {
                Ok(answer) if !self.policy.repeats(answer.response.status()) => return Ok(answer),
                Ok(answer) => match whole(spare) {
                    Some(spare) => {
                        *request = *spare;
                        Pause::Yes
                    }
                    None => return Ok(answer),
                },
                Err(Failure::Client(refusal)) => return Err(refusal),
                Err(Failure::Unsent(refusal)) => {
                    last = refusal;
                    Pause::No
                }
                Err(Failure::Lost(refusal)) => {
                    last = refusal;
                    *request = *whole(spare).ok_or(refusal)?;
                    Pause::Yes
                }
            };
            if tries.left == 0 {
                return Err(last);
            }
            tries.left -= 1;
            tries.tried.push(endpoint.address());
            self.cells.upstream_retries.increment();
            if pause == Pause::Yes {
                sleep(tries.backoff.pause(self.random)).await;
            }
        }
    }

    /// Opens a connection to an endpoint of the backend for bytes that are not HTTP.
    pub(crate) async fn connect(
        &self,
        destination: &Destination,
    ) -> Result<(Wire, Busy, SocketAddr), Refusal> {
        let mut tried = Vec::new();
        let mut last = Refusal::NoEndpoint;
        for _ in 0..=self.policy.retries() {
            let Some(endpoint) = self.choose(destination, &tried) else {
                break;
            };
            let busy = Busy::new(&endpoint);
            let dialing = self.dial(&endpoint, &destination.transport);
            let dialed = timeout(self.settings.connect_timeout, dialing).await;
            match dialed.unwrap_or(Err(ConnectError::TimedOut)) {
                Ok(wire) => {
                    self.cells.upstream_opened.increment();
                    return Ok((wire, busy, endpoint.address()));
                }
                Err(error) => last = self.connect_error(&error),
            }
            tried.push(endpoint.address());
        }
        Err(last)
    }

    fn choose(&self, destination: &Destination, tried: &[SocketAddr]) -> Option<Rc<Endpoint>> {
        let endpoints = self.endpoints;
        if let Some(pinned) = self.policy.pinned.filter(|_| tried.is_empty()) {
            return Some(endpoints.endpoint((pinned, destination.transport.id())));
        }
        endpoints.choose(destination, tried, self.random)
    }

    async fn try_once(
        &self,
        endpoint: &Rc<Endpoint>,
        destination: &Destination,
        request: &mut Request<RequestBody>,
    ) -> Result<Answer, Failure> {
        let Some(limit) = self.policy.timeouts.backend_request else {
            return self.exchange(endpoint, destination, request).await;
        };
        let end = Instant::now() + limit;
        let exchange = timeout(limit, self.exchange(endpoint, destination, request)).await;
        let mut answer = exchange.unwrap_or(Err(Failure::Lost(Refusal::TimedOut)))?;
        answer.until = Some(answer.until.map_or(end, |until| until.min(end)));
        Ok(answer)
    }

    /// Takes the request out of its place, and puts it back if it is still good for another try.
    async fn exchange(
        &self,
        endpoint: &Rc<Endpoint>,
        destination: &Destination,
        request: &mut Request<RequestBody>,
    ) -> Result<Answer, Failure> {
        let ready = match self.purpose {
            Purpose::Requests => endpoint.take_ready(self.introduction),
            Purpose::Upgrade | Purpose::Stream => None,
        };
        if let Some(mut lease) = ready {
            let again = copy_if_repeatable(request);
            match lease.send(take(request)).await {
                Ok(response) => return Ok(self.answer(response, lease)),
                Err(mut failure) => {
                    // A connection that was idle may have been closed while the request was on its way.
                    let unsent = failure.take_message();
                    let lost = failure.error();
                    let repeat = unsent.or(again.filter(|_| !lost.is_parse()));
                    *request = repeat.ok_or_else(|| self.lost(lost))?;
                    self.cells.upstream_retries.increment();
                }
            }
        }
        // Apart, so that requests that find a connection do not carry the state of opening one.
        let mut lease = match Box::pin(self.open(endpoint, destination)).await {
            Ok(lease) => lease,
            Err(error) => {
                let refusal = self.connect_error(&error);
                return Err(Failure::Unsent(refusal));
            }
        };
        match lease.send(take(request)).await {
            Ok(response) => Ok(self.answer(response, lease)),
            Err(failure) => Err(self.lost(failure.error())),
        }
    }

    fn answer(&self, response: Response<Incoming>, lease: Lease) -> Answer {
        Answer {
            response,
            lease,
            until: self.policy.deadline,
        }
    }

    async fn open(
        &self,
        endpoint: &Rc<Endpoint>,
        destination: &Destination,
    ) -> Result<Lease, ConnectError> {
        let transport = &destination.transport;
        let mut _opening = None;
        if self.purpose == Purpose::Requests && endpoint.shares_connections(transport) {
            _opening = endpoint.opening().await;
            if let Some(lease) = endpoint.take_ready(self.introduction) {
                return Ok(lease);
            }
        }
        let limit = self.settings.connect_timeout;
        let opening = async {
            let wire = self.dial(endpoint, transport).await?;
            Link::start(wire, transport, self.purpose, self.cells).await
        };
        let link = timeout(limit, opening)
            .await
            .map_err(|_elapsed| ConnectError::TimedOut)??;
        self.cells.upstream_opened.increment();
        Ok(endpoint.lease(link, self.introduction))
    }

    async fn dial(&self, endpoint: &Endpoint, transport: &Transport) -> Result<Wire, ConnectError> {
        let introduction = self.introduction.as_ref();
        dial(endpoint.address(), transport, self.purpose, introduction).await
    }

    fn lost(&self, error: &hyper::Error) -> Failure {
        if error.is_user() {
            // The body that was being sent on is the client's.
            return Failure::Client(Refusal::Malformed(BROKEN_OFF));
        }
        self.cells.upstream_protocol_errors.increment();
        tracing::debug!(%error, "an endpoint did not answer");
        Failure::Lost(Refusal::UpstreamProtocol)
    }

    fn connect_error(&self, error: &ConnectError) -> Refusal {
        let cells = self.cells;
        tracing::debug!(
            error = error as &dyn std::error::Error,
            "no connection to an endpoint"
        );
        match error {
            ConnectError::TimedOut => {
                cells.upstream_connect_timeouts.increment();
                Refusal::ConnectTimedOut
            }
            ConnectError::Refused(_) => {
                cells.upstream_connect_failures.increment();
                Refusal::ConnectFailed
            }
            ConnectError::Tls(_) => {
                cells.upstream_protocol_errors.increment();
                Refusal::BackendTls
            }
            ConnectError::Engine(_) => {
                cells.upstream_protocol_errors.increment();
                Refusal::UpstreamProtocol
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Yes,
    No,
}

/// Takes a request out of its place.
fn take(request: &mut Request<RequestBody>) -> Request<RequestBody> {
    std::mem::replace(request, Request::new(RequestBody::Empty))
}

/// A spare request, if its body can still be sent from the start.
fn whole(spare: Option<Box<Request<RequestBody>>>) -> Option<Box<Request<RequestBody>>> {
    spare.filter(|spare| spare.body().is_whole())
}

/// A second copy of a request that does no harm when it arrives twice.
fn copy_if_repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    match request.body() {
        RequestBody::Empty | RequestBody::Kept(_) | RequestBody::Whole(_)
            if request.method().is_idempotent() =>
        {
            copy(request)
        }
        RequestBody::Empty
        | RequestBody::Kept(_)
        | RequestBody::Whole(_)
        | RequestBody::Streamed(_)
        | RequestBody::Copied(_) => None,
    }
}

fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut copy = Request::new(request.body().again()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}
