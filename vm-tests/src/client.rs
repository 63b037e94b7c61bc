//! Clients of the LAN: HTTP, HTTPS and TCP, each step bounded in time.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::deadline::bounded;
use crate::pod::Seen;

/// How a client speaks to a server.
#[derive(Clone, Debug)]
pub enum Transport {
    /// In clear text.
    Plain,
    /// Over TLS, with a server name and what the client trusts.
    Tls(String, Arc<ClientConfig>),
}

impl Transport {
    /// TLS that trusts exactly these certificates.
    ///
    /// # Errors
    /// When the PEM holds no certificate.
    pub fn tls(server_name: &str, trusted_pem: &[u8]) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(trusted_pem) {
            roots.add(certificate.context("not a certificate")?)?;
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::Tls(server_name.to_owned(), Arc::new(config)))
    }
}

/// A request without a body.
#[derive(Clone, Debug)]
pub struct Get {
    /// `Host`.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// More headers.
    pub headers: Vec<(String, String)>,
}

impl Get {
    /// Asks a host for a path.
    pub fn new(host: &str, path: &str) -> Self {
        Self {
            host: host.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// The client's own address.
    pub local: SocketAddr,
}

impl Reply {
    /// What the pod saw.
    ///
    /// # Errors
    /// When the answer does not come from a pod.
    pub fn seen(&self) -> anyhow::Result<Seen> {
        let body = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {}, not from a pod: {body}", self.status))
    }
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    local: SocketAddr,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers, or the certificate is not trusted.
    pub async fn open(to: SocketAddr, transport: &Transport) -> anyhow::Result<Self> {
        let stream = bounded(&format!("connect to {to}"), TcpStream::connect(to)).await?;
        let local = stream.local_addr()?;
        let sender = match transport {
            Transport::Plain => handshake(stream).await?,
            Transport::Tls(name, config) => {
                let name = ServerName::try_from(name.clone())?;
                let connector = TlsConnector::from(Arc::clone(config));
                let handshaken = connector.connect(name, stream);
                handshake(bounded("TLS handshake", handshaken).await?).await?
            }
        };
        Ok(Self { sender, local })
    }

    /// Whether the server has not closed it, as far as is known.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes in time.
    pub async fn get(&mut self, get: &Get) -> anyhow::Result<Reply> {
        let mut request = Request::get(&get.path).header(http::header::HOST, &get.host);
        for (name, value) in &get.headers {
            request = request.header(name, value);
        }
        bounded("connection", self.sender.ready()).await?;
        let sent = self.sender.send_request(request.body(Empty::new())?);
        let response = bounded(&format!("GET {}{}", get.host, get.path), sent).await?;
        let status = response.status().as_u16();
        let body = bounded("response body", response.into_body().collect()).await?;
        Ok(Reply {
            status,
            body: body.to_bytes(),
            local: self.local,
        })
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// When nobody answers.
pub async fn get(to: SocketAddr, transport: &Transport, get: &Get) -> anyhow::Result<Reply> {
    Connection::open(to, transport).await?.get(get).await
}

async fn handshake<S>(stream: S) -> anyhow::Result<http1::SendRequest<Empty<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender, which reports what went wrong.
    let _detached = tokio::spawn(connection);
    Ok(sender)
}

/// A conversation with a TCP pod.
#[derive(Debug)]
pub struct Conversation {
    stream: BufReader<TcpStream>,
    /// The pod's name.
    pub pod: String,
    /// The client's address as the pod sees it.
    pub seen: SocketAddr,
    /// The client's address as the client sees it.
    pub local: SocketAddr,
}

impl Conversation {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// When nobody answers, or not as a TCP pod does.
    pub async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = bounded(&format!("connect to {to}"), TcpStream::connect(to)).await?;
        let local = stream.local_addr()?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        bounded("greeting", stream.read_line(&mut line)).await?;
        let (pod, seen) = line
            .trim()
            .split_once(' ')
            .ok_or_else(|| anyhow!("not a greeting: {line:?}"))?;
        Ok(Self {
            pod: pod.to_owned(),
            seen: seen.parse()?,
            local,
            stream,
        })
    }

    /// Says a line and expects it back.
    ///
    /// # Errors
    /// When the connection broke, or something else comes back.
    pub async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let line = format!("{line}\n");
        bounded("send", self.stream.get_mut().write_all(line.as_bytes())).await?;
        let mut echoed = String::new();
        bounded("echo", self.stream.read_line(&mut echoed)).await?;
        if echoed == line {
            return Ok(());
        }
        Err(anyhow!("said {line:?}, heard {echoed:?}"))
    }

    /// Sends bytes while it reads, and expects exactly them back.
    ///
    /// # Errors
    /// When the connection broke, or something else comes back.
    pub async fn exchange(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let (mut from, mut to) = tokio::io::split(&mut self.stream);
        let mut echoed = vec![0; bytes.len()];
        let both =
            futures_util::future::try_join(to.write_all(bytes), from.read_exact(&mut echoed));
        bounded(&format!("{} bytes and back", bytes.len()), both).await?;
        ensure!(echoed == bytes, "other bytes came back");
        Ok(())
    }
}
