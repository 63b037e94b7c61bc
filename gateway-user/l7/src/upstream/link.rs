//! One connection to an endpoint, driven by the task of the request that uses it: no task of its own, no wake-ups.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::RequestBody;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the connection was refused")]
    Refused(#[source] std::io::Error),
    #[error("the connection was not accepted in time")]
    TimedOut,
    #[error("the engine could not start")]
    Engine(#[source] hyper::Error),
}

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// One request after the other.
    Requests,
    /// One request that asks to leave HTTP.
    Upgrade,
}

/// What moves the bytes of a connection.
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the usual one, and a link is boxed as a whole"
)]
enum Driver {
    Requests(http1::Connection<TokioIo<TcpStream>, RequestBody>),
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

/// A connection to an endpoint.
#[derive(Debug)]
pub(super) struct Link {
    sender: http1::SendRequest<RequestBody>,
    driver: Driver,
    state: LinkState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    Open,
    Closed,
}

/// Opens a connection.
pub(super) async fn connect(
    address: SocketAddr,
    timeout: Duration,
    purpose: Purpose,
) -> Result<Box<Link>, ConnectError> {
    let stream = tokio::time::timeout(timeout, TcpStream::connect(address))
        .await
        .map_err(|_elapsed| ConnectError::TimedOut)?
        .map_err(ConnectError::Refused)?;
    stream.set_nodelay(true).map_err(ConnectError::Refused)?;
    let (sender, driver) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(ConnectError::Engine)?;
    Ok(Box::new(Link {
        sender,
        driver: match purpose {
            Purpose::Requests => Driver::Requests(driver),
            Purpose::Upgrade => Driver::Upgrade(Box::pin(driver.with_upgrades())),
        },
        state: LinkState::Open,
    }))
}

impl Link {
    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        let mut sending = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            // First the connection: what it delivers is then there, and needs no second wake-up of this task.
            drive(&mut self.driver, &mut self.state, cx);
            sending.as_mut().poll(cx)
        })
        .await
    }

    /// Moves bytes.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
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
