//! Pods: small servers that say who they are and what they saw.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::{Host, Task, dns};

/// Longest request body that an HTTP pod reads.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What an HTTP pod saw of a request; its answer, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The pod's name.
    pub pod: String,
    /// Who connected.
    pub peer: SocketAddr,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Length of the body in bytes.
    pub body: usize,
}

impl Seen {
    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What a pod serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Answers every HTTP/1.1 request with what it saw ([`Seen`]).
    Http,
    /// Greets every TCP client with `POD CLIENT-ADDRESS` in a line, then sends back what comes.
    Tcp,
    /// Answers every DNS query over UDP with an address, and with a text `POD CLIENT-ADDRESS`.
    Dns,
}

/// Serves on a port of a host, which listens when this returns, until the task is dropped.
///
/// # Errors
/// When the port is taken.
pub fn serve(host: &Host, service: Service, port: u16) -> anyhow::Result<Task<()>> {
    serve_on(host, service, (host.address, port).into())
}

/// The same on any address of the host.
///
/// # Errors
/// When the port is taken.
pub fn serve_on(host: &Host, service: Service, address: SocketAddr) -> anyhow::Result<Task<()>> {
    let pod = host.namespace.name().to_owned();
    let bound = move || async move {
        match service {
            Service::Http => TcpListener::bind(address).await.map(Socket::Http),
            Service::Tcp => TcpListener::bind(address).await.map(Socket::Tcp),
            Service::Dns => UdpSocket::bind(address).await.map(Socket::Dns),
        }
        .with_context(|| format!("pod cannot bind {address}"))
    };
    let socket = host.namespace.run(bound)?;
    Ok(host.namespace.spawn(move || async move {
        match socket {
            Socket::Http(listener) => serve_http(pod, listener).await,
            Socket::Tcp(listener) => serve_tcp(pod, listener).await,
            Socket::Dns(socket) => serve_dns(pod, socket).await,
        }
    }))
}

enum Socket {
    Http(TcpListener),
    Tcp(TcpListener),
    Dns(UdpSocket),
}

async fn serve_http(pod: String, listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let pod = pod.clone();
        let _detached = tokio::spawn(async move {
            let service = service_fn(|request| answer(pod.clone(), peer, request));
            // A client that goes away is no fault of the pod.
            let _gone = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn serve_tcp(pod: String, listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let _detached = tokio::spawn(echo(stream, format!("{pod} {peer}\n")));
    }
}

async fn serve_dns(pod: String, socket: UdpSocket) -> anyhow::Result<()> {
    let mut buffer = [0; 512];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await?;
        let query = buffer.get(..length).unwrap_or_default();
        if let Some(reply) = dns::reply(query, &format!("{pod} {peer}")) {
            socket.send_to(&reply, peer).await?;
        }
    }
}

async fn answer(
    pod: String,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, BODY_BYTES_MAX);
    let seen = Seen {
        pod,
        peer,
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            })
            .collect(),
        body: body.collect().await.map_or(0, |body| body.to_bytes().len()),
    };
    let json = serde_json::to_vec(&seen).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(json)));
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

async fn echo(mut stream: TcpStream, greeting: String) -> std::io::Result<()> {
    stream.write_all(greeting.as_bytes()).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream
            .write_all(buffer.get(..length).unwrap_or_default())
            .await?;
    }
}
