//! A connection with HTTP/2 in clear text, for requests and for calls.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join;
use gateway_vm_tests::deadline::bounded;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// The method of the conformance suite's gRPC server that answers an empty message.
const METHOD: &str =
    "http://calls.example/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo";
/// An empty message in gRPC's framing: not compressed, of no length.
const MESSAGE: &[u8] = &[0; 5];

/// An open connection.
pub(super) struct Multiplexed(http2::SendRequest<Full<Bytes>>);

impl Multiplexed {
    pub(super) async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        // Head and message are two writes.
        stream.set_nodelay(true)?;
        let executor = TokioExecutor::new();
        let (sender, connection) = http2::handshake(executor, TokioIo::new(stream)).await?;
        // It ends with the sender, which reports what went wrong.
        let _detached = tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Asks for two pages at a time.
    pub(super) async fn get_two(&mut self) -> anyhow::Result<()> {
        let get = async || {
            let request = Request::get("http://load.example/").body(Full::default())?;
            self.answered(request).await.map(drop)
        };
        try_join(get(), get()).await.map(drop)
    }

    /// Makes a call.
    pub(super) async fn call(&mut self) -> anyhow::Result<()> {
        let request = Request::post(METHOD)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::from(MESSAGE))?;
        let trailers = self.answered(request).await?;
        let status = trailers.get("grpc-status");
        ensure!(status.is_some_and(|it| it == "0"), "grpc-status {status:?}");
        Ok(())
    }

    /// Sends a request and reads the whole answer; gives its trailers.
    async fn answered(&self, request: Request<Full<Bytes>>) -> anyhow::Result<HeaderMap> {
        let mut sender = self.0.clone();
        sender.ready().await?;
        let response = bounded("answer", sender.send_request(request)).await?;
        let status = response.status().as_u16();
        ensure!(status == 200, "status {status}");
        let body = bounded("body", response.into_body().collect()).await;
        let body = body.context("the answer broke off")?;
        Ok(body.trailers().cloned().unwrap_or_default())
    }
}
