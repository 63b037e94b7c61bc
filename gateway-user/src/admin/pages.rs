//! What the admin server says at each path.

use bytes::Bytes;
use gateway_control::Problem;
use gateway_ir::{Generation, NodeName, Snapshot};
use gateway_translate::Statuses;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::board::{Board, Neighbor, Owner};
use crate::explanation::{Asked, draw};

/// The media type that OpenMetrics asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Which pages a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Every page: for the operator, on a loopback address.
    All,
    /// Metrics and health only: may face the network.
    Monitoring,
}

#[derive(Serialize)]
struct SnapshotPage<'a> {
    generation: Generation,
    node: &'a NodeName,
    owners: Vec<Owner>,
    neighbors: Vec<Neighbor>,
    snapshot: &'a Snapshot,
}

#[derive(Serialize)]
struct ConditionsPage<'a> {
    generation: Generation,
    /// Whether every gate runs this generation.
    current: bool,
    problems: &'a [Problem],
    objects: Statuses,
}

#[derive(Serialize)]
struct ErrorPage<'a> {
    reason: &'a str,
    message: &'a str,
}

/// Answers a request.
pub(super) fn respond<B>(
    pages: Pages,
    board: &Board,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let message = "only GET and HEAD are served here";
        return error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
    }
    match (request.uri().path(), pages) {
        ("/healthz", _) => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
        ("/readyz", _) => readyz(board),
        ("/metrics", _) => match board.metrics() {
            Ok(text) => page(StatusCode::OK, OPEN_METRICS, text),
            Err(_formatting) => internal("metrics cannot be written"),
        },
        ("/snapshot", Pages::All) => snapshot(board),
        ("/conditions", Pages::All) => conditions(board),
        ("/explain", Pages::All) => explain(board, request),
        (_, Pages::All) => {
            not_found("/healthz, /readyz, /metrics, /snapshot, /conditions and /explain")
        }
        (_, Pages::Monitoring) => not_found("/healthz, /readyz and /metrics"),
    }
}

fn readyz(board: &Board) -> Response<Full<Bytes>> {
    let readiness = board.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &readiness)
}

fn snapshot(board: &Board) -> Response<Full<Bytes>> {
    let Some(published) = board.published() else {
        return not_yet();
    };
    let page = SnapshotPage {
        generation: published.generation,
        node: &board.node,
        owners: board.ownership(),
        neighbors: board.neighbors(),
        snapshot: &published.snapshot,
    };
    json(StatusCode::OK, &page)
}

fn conditions(board: &Board) -> Response<Full<Bytes>> {
    let Some(published) = board.published() else {
        return not_yet();
    };
    let page = ConditionsPage {
        generation: published.generation,
        current: board.readiness().current,
        problems: &published.problems,
        objects: board.conditions(&published),
    };
    json(StatusCode::OK, &page)
}

/// Explains a request; `Accept: text/plain` asks for the form for people.
fn explain<B>(board: &Board, request: &Request<B>) -> Response<Full<Bytes>> {
    let Some(explainer) = board.explainer() else {
        return not_yet();
    };
    let asked = Asked::from_query(request.uri().query().unwrap_or_default());
    let question = match asked.question() {
        Ok(question) => question,
        Err(invalid) => {
            let message = format!("{invalid:#}");
            return error(StatusCode::BAD_REQUEST, "BadRequest", &message);
        }
    };
    let explanation = explainer.explain(&question);
    let accept = request.headers().get(header::ACCEPT);
    if accept.is_some_and(|accept| accept.as_bytes().starts_with(b"text/plain")) {
        return page(StatusCode::OK, TEXT, draw(&asked, &explanation));
    }
    json(StatusCode::OK, &explanation)
}

fn not_yet() -> Response<Full<Bytes>> {
    let message = "the configuration has not been read yet";
    error(StatusCode::SERVICE_UNAVAILABLE, "NotReady", message)
}

fn not_found(there: &str) -> Response<Full<Bytes>> {
    let message = format!("there are {there}");
    error(StatusCode::NOT_FOUND, "NotFound", &message)
}

fn internal(message: &str) -> Response<Full<Bytes>> {
    error(StatusCode::INTERNAL_SERVER_ERROR, "Internal", message)
}

fn error(status: StatusCode, reason: &str, message: &str) -> Response<Full<Bytes>> {
    json(status, &ErrorPage { reason, message })
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Full<Bytes>> {
    match serde_json::to_string(value) {
        Ok(text) => page(status, JSON, text),
        Err(_unserializable) => page(
            StatusCode::INTERNAL_SERVER_ERROR,
            TEXT,
            "the page cannot be written\n".to_owned(),
        ),
    }
}

fn page(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let media_type = header::HeaderValue::from_static(media_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}
