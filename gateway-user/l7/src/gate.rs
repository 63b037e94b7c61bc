//! Takes a request through the filters of its plan, and asks the servers that have to agree (Gateway API:
//! `HTTPExternalAuthFilter`). Whatever goes wrong on the way is a no.

use std::cell::Cell;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gateway_ir::{AuthProtocol, ProxySettings, Scheme};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::auth::{self, Auth, Denial, Facts, Grant, Verdict};
use crate::connection::Connection;
use crate::exchange::{Gate, Stage};
use crate::executor::spawn_guarded;
use crate::refusal::Refusal;
use crate::transport::Purpose;
use crate::upstream::{Answer, Policy, RequestBody, Upstream};

/// What became of a request on its way through the filters.
pub(crate) enum Passage {
    /// It goes on, and these have agreed.
    Open(Vec<Grant>),
    /// A server turns it away.
    Denied(Denial),
    /// A server turns it away by an answer of its own.
    Relayed(Box<Answer>),
}

/// Who asks.
pub(crate) struct Asker<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) settings: &'a ProxySettings,
    /// The end of the rule's time.
    pub(crate) deadline: Option<Instant>,
}

impl Asker<'_> {
    /// Takes a request through the filters.
    pub(crate) async fn pass(
        &self,
        stages: impl IntoIterator<Item = Stage<'_>>,
        gate: Option<&Gate<'_>>,
        head: &mut Parts,
        body: &mut RequestBody,
    ) -> Result<Passage, Refusal> {
        let mut grants = Vec::new();
        for stage in stages {
            stage.filters.edit_early(&mut head.headers);
            if let (Some(auth), Some(gate)) = (stage.auth, gate) {
                let cells = &self.connection.worker.cells;
                // Apart, so that requests that nobody is asked about do not carry its state.
                let asked = Box::pin(self.ask(auth, gate, head, body)).await;
                let passage = asked.inspect_err(|refusal| {
                    if *refusal == Refusal::AuthorizationFailed {
                        cells.authorizations_failed.increment();
                    }
                })?;
                match passage {
                    Passage::Open(granted) => {
                        let granted = granted.into_iter();
                        grants.extend(granted.inspect(|it| it.edit_request(&mut head.headers)));
                    }
                    Passage::Denied(_) | Passage::Relayed(_) => {
                        cells.authorizations_denied.increment();
                        return Ok(passage);
                    }
                }
            }
            stage.filters.edit_request(&mut head.headers);
        }
        Ok(Passage::Open(grants))
    }

    async fn ask(
        &self,
        auth: &Auth,
        gate: &Gate<'_>,
        head: &Parts,
        body: &mut RequestBody,
    ) -> Result<Passage, Refusal> {
        let destination = auth.destination.as_ref().map_err(|refusal| *refusal)?;
        let body = match auth.body_bytes_max {
            0 => None,
            bytes_max => Some(self.in_time(body.collect(bytes_max)).await?),
        };
        let client = &self.connection.client;
        let facts = Facts {
            target: &gate.target,
            scheme: match client.scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            },
            peer: client.peer,
            local: self.connection.local,
            server_name: client.server_name.as_deref(),
            body,
        };
        let (question, body) = auth.question(head, &facts)?;
        let limit = Instant::now() + self.settings.authorization_timeout;
        let limit = self.deadline.map_or(limit, |deadline| deadline.min(limit));
        let worker = &self.connection.worker;
        let upstream = Upstream {
            endpoints: &worker.endpoints,
            random: &worker.random,
            cells: &worker.cells,
            settings: self.settings,
            purpose: Purpose::Requests,
            // Endpoints of rules are spoken to for a client; an authorization server is asked by the proxy.
            introduction: None,
            policy: Policy {
                deadline: Some(limit),
                ..Policy::default()
            },
        };
        let answer = upstream.send(destination, question, RequestBody::whole(body));
        let answer = answer.await.map_err(|refusal| {
            debug!(?refusal, server = %destination.backend.name, "no answer from an authorization server");
            Refusal::AuthorizationFailed
        })?;
        match &auth.protocol {
            AuthProtocol::Http {
                response_headers, ..
            } => {
                if answer.response.status() == StatusCode::OK {
                    let grant = auth::granted(answer.response.headers(), response_headers);
                    self.discard(answer, limit);
                    return Ok(Passage::Open(vec![grant]));
                }
                self.refused(answer, limit)
            }
            AuthProtocol::Grpc { .. } => called(answer, limit).await,
        }
    }

    /// What an answer by HTTP means that is no yes.
    fn refused(&self, answer: Answer, limit: Instant) -> Result<Passage, Refusal> {
        let status = answer.response.status();
        if status.is_redirection() || status.is_client_error() {
            return Ok(Passage::Relayed(Box::new(answer)));
        }
        self.discard(answer, limit);
        if status.is_success() {
            // Success is 200 and nothing else, and must not look to the client as if its request had been served.
            return Ok(Passage::Denied(Denial::forbidden()));
        }
        Err(Refusal::AuthorizationFailed)
    }

    /// Reads what is left of an answer beside the request, so that the connection can be used again.
    fn discard(&self, answer: Answer, limit: Instant) {
        let cells = Arc::clone(&self.connection.worker.cells);
        spawn_guarded(cells, async move {
            let left = Cell::new(auth::ANSWER_BYTES_MAX);
            let reading = answer.read(limit, |frame| {
                let length = frame.data_ref().map_or(0, Bytes::len);
                left.set(left.get().checked_sub(length)?);
                Some(())
            });
            if reading.await.is_none() {
                debug!("an authorization server's answer is not read to its end");
            }
        });
    }

    /// Waits for something as long as the rule lets it.
    async fn in_time<T>(
        &self,
        future: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        match self.deadline {
            None => future.await,
            Some(deadline) => timeout_at(deadline, future)
                .await
                .unwrap_or(Err(Refusal::TimedOut)),
        }
    }
}

/// Reads the answer to a call.
async fn called(answer: Answer, limit: Instant) -> Result<Passage, Refusal> {
    let is_ok = |headers: &HeaderMap| {
        let status = headers.get("grpc-status");
        status.is_some_and(|status| status == HeaderValue::from_static("0"))
    };
    let head = answer.response.headers();
    let kind = head.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_grpc = kind.is_some_and(|kind| kind.starts_with(b"application/grpc"));
    if answer.response.status() != StatusCode::OK || !is_grpc {
        return Err(Refusal::AuthorizationFailed);
    }
    let mut body = BytesMut::new();
    let mut trailers = None;
    let read = answer.read(limit, |frame| {
        match frame.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
        (body.len() <= auth::ANSWER_BYTES_MAX).then_some(())
    });
    read.await.ok_or(Refusal::AuthorizationFailed)?;
    if !trailers.as_ref().is_some_and(is_ok) {
        return Err(Refusal::AuthorizationFailed);
    }
    Ok(match auth::verdict(&body)? {
        Verdict::Granted(grant) => Passage::Open(vec![grant]),
        Verdict::Denied(denial) => Passage::Denied(denial),
    })
}
