//! One client connection from accept to close: TLS, then the engine, under the deadlines of its tracker.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use gateway_ir::{PortProtocol, ProxySettings, Scheme};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::arrival::Arrival;
use crate::connection::Connection;
use crate::executor::LocalExecutor;
use crate::hello::{self, Opened};
use crate::metrics::WorkerCells;
use crate::program::Port;
use crate::service::answer;
use crate::stream;
use crate::tracker::{Signal, Tracked, Tracker};
use crate::worker::Worker;

/// hyper's own limit of a request target; the buffer must hold one for a 414 to be told from a 431.
const TARGET_BYTES_MAX: usize = 64 * 1024;
/// Credit of one HTTP/2 stream and of the whole connection (Envoy: configuring Envoy as an edge proxy).
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What is kept of a response that an HTTP/2 client does not read.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;
/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) protocol: PortProtocol,
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) stream: TcpStream,
    pub(crate) arrival: Arrival,
}

/// What became of a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    Read,
    Refused,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(worker: Rc<Worker>, accepted: Accepted) {
    let Accepted {
        protocol,
        settings,
        mut stream,
        mut arrival,
    } = accepted;
    if arrival.has_header(&settings)
        && receive_header(&worker, &mut arrival, &mut stream).await == Header::Refused
    {
        return;
    }
    match protocol {
        PortProtocol::Http => {
            let connection = arrival.connection(worker, Scheme::Http, None);
            serve_http(connection, stream, &settings).await;
        }
        PortProtocol::Tls => serve_tls(worker, stream, arrival, &settings).await,
    }
}

/// Reads the PROXY header within the deadline of a handshake. Who sends a malformed one hears nothing: it is a proxy that
/// is set up wrongly, or one that is none.
async fn receive_header(worker: &Worker, arrival: &mut Arrival, stream: &mut TcpStream) -> Header {
    let tracker = Arc::clone(&arrival.tracker);
    tracker.handshake_started();
    match unless_killed(&tracker, arrival.read_header(stream)).await {
        Some(Ok(())) => {
            tracker.handshake_finished();
            Header::Read
        }
        Some(Err(error)) => {
            let reason: &dyn std::error::Error = &error;
            tracing::debug!(error = reason, "a trusted proxy's connection is refused");
            worker.cells.proxy_headers_refused.increment();
            Header::Refused
        }
        None => {
            worker.cells.proxy_headers_refused.increment();
            Header::Refused
        }
    }
}

async fn serve_tls(
    worker: Rc<Worker>,
    stream: TcpStream,
    arrival: Arrival,
    settings: &ProxySettings,
) {
    let tracker = Arc::clone(&arrival.tracker);
    tracker.handshake_started();
    let find_port = |look: &mut dyn FnMut(&Port)| {
        let state = worker.state();
        state.program.port(arrival.local).into_iter().for_each(look);
    };
    let opening = hello::open(stream, find_port);
    let Some(Some(opened)) = unless_killed(&tracker, opening).await else {
        worker.cells.handshakes_failed.increment();
        return;
    };
    tracker.handshake_finished();
    let introduction = arrival.introduction(settings);
    match opened {
        Opened::Http {
            stream,
            server_name,
        } => {
            let connection = arrival.connection(worker, Scheme::Https, server_name);
            serve_http(connection, stream, settings).await;
        }
        Opened::Ended { stream, rule } => {
            let client = (stream, &[][..]);
            let relay = stream::relay(&worker, &tracker, (settings, introduction), client, &rule);
            unless_killed(&tracker, relay).await;
        }
        Opened::Passed {
            stream,
            hello,
            rule,
        } => {
            let client = (stream, hello.as_slice());
            let relay = stream::relay(&worker, &tracker, (settings, introduction), client, &rule);
            unless_killed(&tracker, relay).await;
        }
    }
}

async fn serve_http<S>(connection: Connection, stream: S, settings: &ProxySettings)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Rc::new(connection);
    let tracker = Arc::clone(&connection.tracker);
    let io = TokioIo::new(Tracked::new(stream, Arc::clone(&tracker)));
    let engine = engine(settings, Arc::clone(&connection.worker.cells));
    let service = service_fn(move |request| answer(Rc::clone(&connection), request));
    let mut serving = pin!(engine.serve_connection_with_upgrades(io, service));
    let mut is_closing = false;
    let ended = poll_fn(|cx| {
        let signal = tracker.poll_signal(cx);
        if signal == Signal::Kill {
            return Poll::Ready(Ok(()));
        }
        if !is_closing && tracker.is_to_close(signal) {
            is_closing = true;
            serving.as_mut().graceful_shutdown();
        }
        serving.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a client connection ended");
    }
}

/// hyper with the limits of the settings. Deadlines are the tracker's: hyper would arm a timer per request.
fn engine(settings: &ProxySettings, cells: Arc<WorkerCells>) -> auto::Builder<LocalExecutor> {
    let mut engine = auto::Builder::new(LocalExecutor(cells));
    let head_bytes_max = TARGET_BYTES_MAX + settings.header_bytes_max as usize;
    engine
        .http1()
        .header_read_timeout(None)
        .max_buf_size(head_bytes_max);
    engine
        .http2()
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(settings.header_bytes_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BYTES_MAX);
    engine
}

/// Runs a future until it ends or the connection is told to end; nothing in the second case.
async fn unless_killed<F: Future>(tracker: &Tracker, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match tracker.poll_signal(cx) {
        Signal::Kill => Poll::Ready(None),
        Signal::Run | Signal::Finish | Signal::Drain => future.as_mut().poll(cx).map(Some),
    })
    .await
}
