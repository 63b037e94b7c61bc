//! Answers one request: the seam between the engine (hyper) and the exchange.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use tracing::{debug, trace};

use crate::body::ResponseBody;
use crate::connection::Connection;
use crate::exchange::{self, Payload};
use crate::headers::strip_hop_by_hop;
use crate::in_flight::InFlight;
use crate::metrics::MethodLabel;
use crate::refusal::Refusal;
use crate::request::FRAMED_TWICE;
use crate::upstream::{Answer, RequestBody, Upstream};

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
    Ok(match forward(&mut in_flight, request).await {
        Ok((response, lease)) => {
            in_flight.status = response.status();
            let (mut parts, incoming) = response.into_parts();
            strip_hop_by_hop(&mut parts.headers);
            parts.version = Version::HTTP_11;
            Response::from_parts(parts, ResponseBody::upstream(incoming, lease, in_flight))
        }
        Err(refusal) => {
            debug!(?refusal, "request refused");
            in_flight.status = refusal.status();
            refuse(refusal, version, in_flight)
        }
    })
}

async fn forward(in_flight: &mut InFlight, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let connection = Rc::clone(&in_flight.connection);
    let worker = &connection.worker;
    let state = worker.state();
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
    let settings = &state.program.settings;
    let admitted = exchange::admit(port, &connection.client, &parts, settings)?;
    in_flight.listener = state.cells.get(admitted.listener.index).map(Arc::clone);
    trace!(listener = %admitted.listener.id, "request admitted");
    let (rule, uri) = admitted.route()?;
    if exchange::wants_websocket(&parts) {
        return Err(Refusal::UpgradeUnsupported);
    }
    let backend = rule.draw(&worker.random)?;
    let body = RequestBody::new(incoming);
    let payload = match &body {
        RequestBody::Empty => Payload::Absent,
        RequestBody::Streamed(_) => Payload::Present,
    };
    exchange::rewrite(&mut parts, uri, rule, &connection.client, payload);
    let upstream = Upstream {
        endpoints: &worker.endpoints,
        random: &worker.random,
        cells: &worker.cells,
        settings,
    };
    let answer = upstream.send(backend, parts, body).await;
    if let Err(refusal) = &answer {
        debug!(?refusal, rule = %rule.id, backend = %backend.name, "no answer from the backend");
    }
    answer
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
