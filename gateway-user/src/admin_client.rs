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
    let body = get(admin, path, "application/json")?;
    serde_json::from_slice(&body)
        .with_context(|| format!("{admin}{path} is not a page of this release"))
}

/// Fetches a page in its form for people.
///
/// # Errors
/// When nobody answers, or what answers is no text.
pub(crate) fn fetch_text(admin: SocketAddr, path: &str) -> anyhow::Result<String> {
    let body = get(admin, path, "text/plain")?;
    String::from_utf8(body.to_vec()).with_context(|| format!("{admin}{path} is not a text"))
}

fn get(admin: SocketAddr, path: &str, accept: &str) -> anyhow::Result<Bytes> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::time::timeout(TIMEOUT, ask(admin, path, accept))
            .await
            .with_context(|| format!("no answer from {admin} within {} s", TIMEOUT.as_secs()))?
    })
}

async fn ask(admin: SocketAddr, path: &str, accept: &str) -> anyhow::Result<Bytes> {
    let stream = TcpStream::connect(admin).await.with_context(|| {
        format!("no agent at {admin}; is `sanmon run` up, and is this its --admin address?")
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, admin.to_string())
        .header(header::ACCEPT, accept)
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
