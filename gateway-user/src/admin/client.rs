//! Asks a running agent's admin server.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches a page and reads its JSON.
///
/// # Errors
/// When nobody answers, or what answers is no page of this release.
pub(crate) fn fetch<T: DeserializeOwned>(admin: SocketAddr, path: &str) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let body = runtime.block_on(async {
        tokio::time::timeout(TIMEOUT, get(admin, path))
            .await
            .with_context(|| format!("no answer from {admin} within {} s", TIMEOUT.as_secs()))?
    })?;
    serde_json::from_slice(&body)
        .with_context(|| format!("{admin}{path} is not a page of this release"))
}

async fn get(admin: SocketAddr, path: &str) -> anyhow::Result<Bytes> {
    let stream = TcpStream::connect(admin).await.with_context(|| {
        format!("no agent at {admin}; is `sanmon run` up, and is this its --admin address?")
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, admin.to_string())
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    if !status.is_success() {
        bail!(
            "{admin}{path}: {status}: {}",
            String::from_utf8_lossy(&body)
        );
    }
    Ok(body)
}
