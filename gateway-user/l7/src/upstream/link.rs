//! Connections to endpoints. One that carries a request at a time is driven by the task of that request: no task of
//! its own, no wake-ups. One that carries many has a task.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::Either;
use gateway_ir::BackendProtocol;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::body::RequestBody;
use super::form::{for_http1, for_http2};
use super::wire::Wire;
use crate::executor::{LocalExecutor, spawn_guarded};
use crate::metrics::WorkerCells;
use crate::proxy_header::Introduction;
use crate::transport::{Purpose, Transport};

/// Requests that share an HTTP/2 connection; more open another one (h2 has one lock per connection, and peers often
/// allow 100).
const STREAMS_MAX: usize = 100;
/// A peer that vanished without a word is noticed after these two, if requests wait for it.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the connection was refused")]
    Refused(#[source] std::io::Error),
    #[error("the connection was not accepted in time")]
    TimedOut,
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    #[error("the engine could not start")]
    Engine(#[source] hyper::Error),
}

/// Opens the bytes to an endpoint.
pub(super) async fn dial(
    address: SocketAddr,
    transport: &Transport,
    purpose: Purpose,
    introduction: Option<&Introduction>,
) -> Result<Wire, ConnectError> {
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(ConnectError::Refused)?;
    stream.set_nodelay(true).map_err(ConnectError::Refused)?;
    if let Some(introduction) = introduction {
        let header = introduction.bytes();
        let written = stream.write_all(&header).await;
        written.map_err(ConnectError::Refused)?;
    }
    let Some((server_name, config)) = transport.tls(purpose) else {
        return Ok(Wire::Plain(stream));
    };
    let stream = TlsConnector::from(config).connect(server_name, stream);
    let stream = stream.await.map_err(ConnectError::Tls)?;
    Ok(Wire::Tls(Box::new(stream)))
}

/// A connection to an endpoint.
#[derive(Debug)]
pub(super) enum Link {
    /// HTTP/1.1.
    Single(Box<Single>),
    /// A stream of a shared HTTP/2 connection.
    Stream(Stream),
}

impl Link {
    /// Starts the engine on an open connection.
    pub(super) async fn start(
        wire: Wire,
        transport: &Transport,
        purpose: Purpose,
        cells: &Arc<WorkerCells>,
    ) -> Result<Self, ConnectError> {
        let offered = match &wire {
            Wire::Plain(_) => transport.protocol == BackendProtocol::Http2,
            Wire::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        };
        if offered && purpose == Purpose::Requests {
            let shared = Shared::start(wire, transport, cells).await?;
            return Ok(Self::Stream(Stream::new(&Rc::new(shared))));
        }
        Single::start(wire, purpose).await.map(Self::Single)
    }

    /// Sends a request and waits for the head of its response.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        match self {
            Self::Single(single) => Either::Left(single.send(for_http1(request))),
            Self::Stream(stream) => {
                let scheme = stream.0.scheme.clone();
                let mut sender = stream.0.sender.clone();
                Either::Right(sender.try_send_request(for_http2(request, scheme)))
            }
        }
    }

    /// Moves bytes.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Single(single) => single.drive(cx),
            Self::Stream(_) => {}
        }
    }
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Shared {
    sender: http2::SendRequest<RequestBody>,
    scheme: http::uri::Scheme,
    streams: Cell<usize>,
}

impl Shared {
    async fn start(
        wire: Wire,
        transport: &Transport,
        cells: &Arc<WorkerCells>,
    ) -> Result<Self, ConnectError> {
        let mut engine = http2::Builder::new(LocalExecutor(Arc::clone(cells)));
        engine
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let (sender, connection) = engine
            .handshake(TokioIo::new(wire))
            .await
            .map_err(ConnectError::Engine)?;
        spawn_guarded(Arc::clone(cells), async {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection to an endpoint ended");
            }
        });
        Ok(Self {
            sender,
            scheme: transport.scheme(),
            streams: Cell::new(0),
        })
    }

    /// Whether it can be kept for other requests.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < STREAMS_MAX
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.get() == 0
    }
}

/// A place on a shared connection.
#[derive(Debug)]
pub(super) struct Stream(Rc<Shared>);

impl Stream {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        shared.streams.set(shared.streams.get() + 1);
        Self(Rc::clone(shared))
    }

    pub(super) fn shared(&self) -> &Rc<Shared> {
        &self.0
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
    }
}

/// What moves the bytes of a connection for one request at a time.
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the usual one, and a link is boxed as a whole"
)]
enum Driver {
    Requests(http1::Connection<TokioIo<Wire>, RequestBody>),
    /// hyper's type for this has no name.
    Upgrade(Pin<Box<dyn Future<Output = hyper::Result<()>>>>),
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requests(_) => "Requests",
            Self::Upgrade(_) => "Upgrade",
        })
    }
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct Single {
    sender: http1::SendRequest<RequestBody>,
    driver: Driver,
    state: LinkState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    Open,
    Closed,
}

impl Single {
    async fn start(wire: Wire, purpose: Purpose) -> Result<Box<Self>, ConnectError> {
        let (sender, driver) = http1::handshake(TokioIo::new(wire))
            .await
            .map_err(ConnectError::Engine)?;
        Ok(Box::new(Self {
            sender,
            driver: match purpose {
                Purpose::Requests | Purpose::Stream => Driver::Requests(driver),
                Purpose::Upgrade => Driver::Upgrade(Box::pin(driver.with_upgrades())),
            },
            state: LinkState::Open,
        }))
    }

    fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        let sending = self.sender.try_send_request(request);
        async {
            let mut sending = pin!(sending);
            poll_fn(|cx| {
                // First the connection: what it delivers is then there, and needs no second wake-up of this task.
                drive(&mut self.driver, &mut self.state, cx);
                sending.as_mut().poll(cx)
            })
            .await
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, &mut self.state, cx);
    }

    /// Whether a request can be sent at once; notices a peer that has closed, if the runtime has heard of it.
    pub(super) fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.state == LinkState::Open && self.sender.is_ready()
    }
}

fn drive(driver: &mut Driver, state: &mut LinkState, cx: &mut Context<'_>) {
    if *state == LinkState::Closed {
        return;
    }
    let polled = match driver {
        Driver::Requests(driver) => Pin::new(driver).poll(cx),
        Driver::Upgrade(driver) => driver.as_mut().poll(cx),
    };
    if let Poll::Ready(ended) = polled {
        *state = LinkState::Closed;
        // The request on the connection gets the error too; an idle one is just dropped.
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection to an endpoint ended");
        }
    }
}
