//! Clients: one that sends bytes as they are, and hyper's for HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::PATIENCE;

/// An answer with its whole body.
pub(crate) type Answer = Response<String>;

/// Sends bytes and reads until the proxy closes the connection.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("the request");
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A reset after the answer is as good as a close.
    if let Err(error) = read.expect("the proxy closes in time") {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(answer).expect("text")
}

/// The status of a raw answer; 0 if there is none.
pub(crate) fn status(raw: &str) -> u16 {
    raw.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

/// A keep-alive connection with HTTP/1.1.
pub(crate) struct Http1(http1::SendRequest<Full<Bytes>>);

impl Http1 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self::over(stream).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("a handshake");
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn try_send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, hyper::Error> {
        let answer = async {
            self.0.ready().await?;
            whole(self.0.send_request(request).await?).await
        };
        timeout(PATIENCE, answer).await.expect("an answer in time")
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    pub(crate) async fn get(&mut self, host: &str, path: &str) -> Answer {
        self.send(get(host, path)).await
    }
}

/// A connection with HTTP/2.
#[derive(Clone)]
pub(crate) struct Http2(http2::SendRequest<Full<Bytes>>);

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self::over(stream).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a handshake");
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.0.ready().await.expect("a usable connection");
        let answer = self.0.send_request(request).await.expect("an answer");
        whole(answer).await.expect("the body")
    }

    pub(crate) async fn get(&mut self, host: &str, path: &str) -> Answer {
        let request = Request::get(format!("http://{host}{path}")).body(Full::default());
        self.send(request.expect("a request")).await
    }

    /// Waits until the proxy takes no more requests on it.
    pub(crate) async fn closes(&mut self) {
        while self.0.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn get_once(address: SocketAddr, host: &str, path: &str) -> Answer {
    Http1::connect(address).await.get(host, path).await
}

pub(crate) fn get(host: &str, path: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", host)
        .body(Full::default())
        .expect("a request")
}

/// The name of the pod that answered.
pub(crate) fn pod(answer: &Answer) -> &str {
    let name = answer.headers().get("x-pod");
    name.map_or("", |name| name.to_str().expect("text"))
}

async fn whole(answer: Response<hyper::body::Incoming>) -> Result<Answer, hyper::Error> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("text");
    Ok(Response::from_parts(parts, text))
}
