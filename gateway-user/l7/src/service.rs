//! Answers one request: the seam between the engine (hyper) and the exchange.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use gateway_ir::{ProxySettings, Scheme};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tracing::{debug, trace};

use crate::auth::Denial;
use crate::body::ResponseBody;
use crate::connection::Connection;
use crate::exchange::{self, Forward, Gate, Payload, Plan, Reply, Then};
use crate::gate::{Asker, Passage};
use crate::grpc_web::{Call, Form};
use crate::headers::strip_hop_by_hop;
use crate::in_flight::InFlight;
use crate::metrics::MethodLabel;
use crate::mirror;
use crate::refusal::{GrpcStatus, Refusal};
use crate::request::FRAMED_TWICE;
use crate::transport::Purpose;
use crate::tunnel;
use crate::upstream::{Answer, Policy, RequestBody, Upstream};

/// The message for gRPC clients that an authorization server turns away.
const DENIED: &str = "not authorized";
const NOT_BASE64: &str = "the body is not base64\n";

/// Answers a request; never fails, because each failure is an answer.
pub(crate) async fn answer(
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let version = request.version();
    if version == Version::HTTP_2 {
        connection.tracker.is_multiplexed();
    }
    let mut in_flight = InFlight::new(connection, MethodLabel::from(request.method()));
    let dialect = Dialect::of(&request, &in_flight.connection);
    let outcome = respond(&mut in_flight, request).await;
    let is_last = version != Version::HTTP_2 && in_flight.connection.tracker.is_finishing();
    let mut response = match outcome {
        Ok(Outcome::Relay(answer, form)) => relay(*answer, form, in_flight),
        Ok(Outcome::Reply(reply)) => {
            in_flight.status = reply.status;
            let mut response = Response::new(ResponseBody::empty(in_flight));
            *response.status_mut() = reply.status;
            *response.headers_mut() = reply.headers;
            response
        }
        Ok(Outcome::Denied(denial)) => deny(denial, dialect, in_flight),
        Err(refusal) => {
            debug!(?refusal, "request refused");
            in_flight.status = refusal.status();
            match (dialect, refusal.grpc_status()) {
                (Dialect::Grpc(kind), Some(status)) => {
                    trailers_only(kind, status, refusal.text().trim_end(), in_flight)
                }
                (Dialect::Grpc(_), None) | (Dialect::Http, _) => {
                    refuse(refusal, version, in_flight)
                }
            }
        }
    };
    if is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// The client's side of an upgrade, if it asked for one.
type Upgrade = Option<OnUpgrade>;

/// What became of a request.
enum Outcome {
    Reply(Reply),
    /// An authorization server turns it away.
    Denied(Denial),
    Relay(Box<Answer>, Relayed),
}

/// How an endpoint's answer goes on.
enum Relayed {
    AsItIs,
    /// What follows is not HTTP.
    Upgraded(OnUpgrade),
    /// In gRPC-Web.
    Web(Form),
}

async fn respond(
    in_flight: &mut InFlight,
    mut request: Request<Incoming>,
) -> Result<Outcome, Refusal> {
    let connection = Rc::clone(&in_flight.connection);
    let worker = &connection.worker;
    let state = worker.state();
    // Without a matching head nothing comes of it.
    let upgrade = hyper::upgrade::on(&mut request);
    let (mut parts, incoming) = request.into_parts();
    let port = state
        .program
        .port(connection.local)
        .ok_or(Refusal::NoRoute)?;
    if parts.headers.contains_key(header::TRANSFER_ENCODING)
        && connection.tracker.head_has_content_length()
    {
        return Err(Refusal::Malformed(FRAMED_TWICE));
    }
    exchange::complete_host(&mut parts);
    let settings = &port.settings;
    let admitted = exchange::admit(port, &connection.client, &parts, settings)?;
    in_flight.listener = state.cells.get(admitted.listener.index).map(Arc::clone);
    trace!(listener = %admitted.listener.id, "request admitted");
    let Plan { stages, gate, then } = admitted.plan(&connection.client, &worker.random)?;
    let upgrade = exchange::wants_websocket(&parts).then_some(upgrade);
    let then = match then {
        Then::Answer(reply) if gate.is_none() => return Ok(Outcome::Reply(reply)),
        then @ (Then::Answer(_) | Then::Forward(_)) => then,
    };
    let mut body = RequestBody::new(incoming);
    let client = &connection.client;
    exchange::prepare(&mut parts.headers, client, settings, &worker.random);
    let asker = Asker {
        connection: &connection,
        settings,
        deadline: then.timeout().map(|limit| in_flight.started() + limit),
    };
    let stages = stages.into_iter().flatten();
    let passing = asker.pass(stages, gate.as_ref(), &mut parts, &mut body);
    let grants = match passing.await? {
        Passage::Open(grants) => grants,
        denied @ (Passage::Denied(_) | Passage::Relayed(_)) => return Ok(turn_away(denied, gate)),
    };
    match then {
        Then::Answer(mut reply) => {
            grants
                .iter()
                .for_each(|grant| grant.edit_response(&mut reply.headers));
            Ok(Outcome::Reply(reply))
        }
        Then::Forward(plan) => {
            let request = (parts, body, upgrade);
            let mut outcome = forward(in_flight, settings, plan, request).await?;
            if let Outcome::Relay(answer, _) = &mut outcome {
                let headers = answer.response.headers_mut();
                grants.iter().for_each(|grant| grant.edit_response(headers));
            }
            Ok(outcome)
        }
    }
}

/// What becomes of a request that a server turns away.
fn turn_away(passage: Passage, gate: Option<Gate<'_>>) -> Outcome {
    match passage {
        Passage::Open(_) => Outcome::Denied(Denial::forbidden()),
        Passage::Denied(mut denial) => {
            if let Some(gate) = gate {
                gate.edit_denial(&mut denial.headers);
            }
            Outcome::Denied(denial)
        }
        Passage::Relayed(mut answer) => {
            let headers = answer.response.headers_mut();
            strip_hop_by_hop(headers);
            if let Some(gate) = gate {
                gate.edit_denial(headers);
            }
            Outcome::Relay(answer, Relayed::AsItIs)
        }
    }
}

/// Sends a request to an endpoint.
async fn forward(
    in_flight: &InFlight,
    settings: &Arc<ProxySettings>,
    mut plan: Forward<'_>,
    (mut parts, mut body, upgrade): (Parts, RequestBody, Upgrade),
) -> Result<Outcome, Refusal> {
    let connection = &in_flight.connection;
    let worker = &connection.worker;
    let destination = plan.share.destination.as_ref();
    let destination = destination.map_err(|refusal| *refusal)?;
    let payload = match &body {
        RequestBody::Empty => Payload::Absent,
        RequestBody::Streamed(_)
        | RequestBody::Kept(_)
        | RequestBody::Whole(_)
        | RequestBody::Copied(_) => Payload::Present,
    };
    let web = Call::of(&parts.headers, settings).filter(|_| destination.takes_calls());
    if let Some(call) = web {
        call.edit_request(&mut parts.headers);
        if call.request() == Form::Text {
            let decoded = body.decoded();
            body = decoded.map_err(|_not_base64| Refusal::Malformed(NOT_BASE64))?;
        }
    }
    plan.complete(&mut parts, payload);
    let introduction = connection.introduction(settings);
    if upgrade.is_none() {
        let terms = (settings, introduction);
        mirror::copy_to(plan.mirrors(), worker, terms, &parts, &mut body);
    } else {
        exchange::announce_websocket(&mut parts.headers);
    }
    let upstream = Upstream {
        endpoints: &worker.endpoints,
        random: &worker.random,
        cells: &worker.cells,
        settings,
        purpose: match upgrade {
            Some(_) => Purpose::Upgrade,
            None => Purpose::Requests,
        },
        introduction,
        policy: policy(&plan, in_flight),
    };
    let answer = upstream.send(destination, parts, body).await;
    let answer = answer.inspect_err(|refusal| {
        let (rule, backend) = (plan.rule.id(), &destination.backend.name);
        debug!(?refusal, %rule, %backend, "no answer from the backend");
    })?;
    finish(answer, plan, (upgrade, web), connection.client.scheme)
}

fn policy<'p>(plan: &Forward<'p>, in_flight: &InFlight) -> Policy<'p> {
    let timeouts = plan.rule.timeouts();
    Policy {
        retry: plan.rule.retry(),
        timeouts,
        deadline: timeouts.request.map(|limit| in_flight.started() + limit),
        pinned: plan.pinned,
    }
}

/// Makes of an endpoint's head what the client gets.
fn finish(
    mut answer: Answer,
    plan: Forward<'_>,
    (upgrade, web): (Upgrade, Option<Call>),
    scheme: Scheme,
) -> Result<Outcome, Refusal> {
    let switched = answer.response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switched && upgrade.is_none() {
        // An endpoint that leaves HTTP unasked would take later requests of others for its own protocol.
        return Err(Refusal::UpstreamProtocol);
    }
    let served_by = answer.lease.address();
    let headers = answer.response.headers_mut();
    strip_hop_by_hop(headers);
    let web = web.and_then(|call| call.edit_answer(headers));
    plan.edit_response(headers, served_by, scheme);
    let relayed = match (upgrade.filter(|_| switched), web) {
        (Some(client), _) => Relayed::Upgraded(client),
        (None, Some(form)) => Relayed::Web(form),
        (None, None) => Relayed::AsItIs,
    };
    Ok(Outcome::Relay(Box::new(answer), relayed))
}

/// Makes the client's response out of the endpoint's.
fn relay(answer: Answer, relayed: Relayed, mut in_flight: InFlight) -> Response<ResponseBody> {
    let Answer {
        mut response,
        lease,
        until,
    } = answer;
    in_flight.status = response.status();
    *response.version_mut() = Version::HTTP_11;
    let web = match relayed {
        Relayed::Upgraded(client) => {
            exchange::announce_websocket(response.headers_mut());
            tunnel::open(client, &mut response, lease, in_flight);
            return response.map(|_no_body| ResponseBody::switched());
        }
        Relayed::Web(form) => Some(form),
        Relayed::AsItIs => None,
    };
    response.map(|incoming| ResponseBody::upstream(incoming, lease, until, web, in_flight))
}

/// What a client understands as a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Http,
    /// With this content type.
    Grpc(&'static str),
}

impl Dialect {
    fn of(request: &Request<Incoming>, connection: &Connection) -> Self {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let rest = kind.and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"));
        match rest {
            // With a message format or parameters.
            Some([] | [b'+' | b';', ..]) => Self::Grpc("application/grpc"),
            Some(_) => {
                let state = connection.worker.state();
                let port = state.program.port(connection.local);
                let call = port.and_then(|port| Call::of(request.headers(), &port.settings));
                call.map_or(Self::Http, |call| Self::Grpc(call.answer().content_type()))
            }
            None => Self::Http,
        }
    }
}

/// An answer in an authorization server's name.
fn deny(denial: Denial, dialect: Dialect, mut in_flight: InFlight) -> Response<ResponseBody> {
    in_flight.status = denial.status;
    if let Dialect::Grpc(kind) = dialect {
        let status = GrpcStatus::of(denial.status);
        let mut response = trailers_only(kind, status, DENIED, in_flight);
        response.headers_mut().extend(denial.headers);
        return response;
    }
    let mut response = Response::new(ResponseBody::bytes(denial.body, in_flight));
    *response.status_mut() = denial.status;
    *response.headers_mut() = denial.headers;
    response
}

/// A "trailers-only" answer (gRPC over HTTP/2, Responses).
fn trailers_only(
    kind: &'static str,
    status: GrpcStatus,
    text: &'static str,
    in_flight: InFlight,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty(in_flight));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("grpc-status", HeaderValue::from_static(status.text()));
    let message = HeaderValue::from_static(text);
    headers.insert("grpc-message", message);
    response
}

fn refuse(refusal: Refusal, version: Version, in_flight: InFlight) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::text(refusal.text(), in_flight));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if refusal.closes() && version != Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
