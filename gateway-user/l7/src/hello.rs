//! The start of a TLS connection: reads the ClientHello, and lets the listener that owns the server name decide.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::program::{Fate, Port, StreamRule};

/// TLS record: fatal alert `unrecognized_name` (RFC 8446 §6, RFC 6066 §3).
const ALERT_UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What a connection turned out to be.
#[derive(Debug)]
pub(crate) enum Opened<S = TcpStream> {
    /// HTTP inside TLS that ends here.
    Http {
        stream: Box<TlsStream<Peeked<S>>>,
        server_name: Option<String>,
    },
    /// Something else inside TLS that ends here.
    Ended {
        stream: Box<TlsStream<Peeked<S>>>,
        rule: Arc<StreamRule>,
    },
    /// TLS that is passed through.
    Passed {
        stream: S,
        /// What was read of it already.
        hello: Vec<u8>,
        rule: Arc<StreamRule>,
    },
}

/// Reads the ClientHello, and does the handshake where TLS ends here; nothing if the connection is over.
pub(crate) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    find_port: impl FnOnce(&mut dyn FnMut(&Port)),
) -> Option<Opened<S>> {
    let acceptor =
        LazyConfigAcceptor::new(rustls::server::Acceptor::default(), Peeked::new(stream));
    let mut start = acceptor
        .await
        .inspect_err(|error| tracing::debug!(%error, "no TLS ClientHello"))
        .ok()?;
    let server_name = start.client_hello().server_name().map(canonical);
    let mut fate = Fate::Close;
    find_port(&mut |port| fate = port.fate(server_name.as_deref()));
    let hello = start.io.stop();
    let (config, rule) = match fate {
        Fate::Http(config) => (config, None),
        Fate::End(config, rule) => (config, Some(rule)),
        Fate::PassThrough(rule) => {
            return Some(Opened::Passed {
                stream: start.io.stream,
                hello,
                rule,
            });
        }
        Fate::Alert => {
            tracing::debug!(?server_name, "no listener for this server name");
            // The client learns why; if it is gone already, nothing is lost.
            let mut stream = start.io.stream;
            if stream.write_all(&ALERT_UNRECOGNIZED_NAME).await.is_ok() {
                stream.shutdown().await.ok()?;
            }
            return None;
        }
        Fate::Close => {
            tracing::debug!(?server_name, "no route for this server name");
            return None;
        }
    };
    let stream = start
        .into_stream(config)
        .await
        .inspect_err(|error| tracing::debug!(%error, "TLS handshake failed"))
        .ok()?;
    let stream = Box::new(stream);
    Some(match rule {
        None => Opened::Http {
            stream,
            server_name,
        },
        Some(rule) => Opened::Ended { stream, rule },
    })
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// A stream that keeps what is read of it until it is told to stop.
#[derive(Debug)]
pub(crate) struct Peeked<S = TcpStream> {
    stream: S,
    /// rustls takes no ClientHello above 64 KiB, which bounds this.
    read: Option<Vec<u8>>,
}

impl<S> Peeked<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            read: Some(Vec::new()),
        }
    }

    /// Gives what was read, and keeps nothing more.
    fn stop(&mut self) -> Vec<u8> {
        self.read.take().unwrap_or_default()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Peeked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if let Some(read) = &mut this.read {
            read.extend_from_slice(buffer.filled().get(before..).unwrap_or_default());
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Peeked<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
