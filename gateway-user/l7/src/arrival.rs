//! A connection that has just been accepted: what is known of it beside its bytes.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use gateway_ir::{ProxyHeaders, ProxySettings, Scheme};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::connection::Connection;
use crate::exchange::Client;
use crate::forwarded::Forwarded;
use crate::proxy_header::{self, Ends, Introduction, Malformed, Progress};
use crate::tracker::Tracker;
use crate::worker::{Slot, Worker};

/// What is known of a connection before its first byte.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Who made it and to where, as far as is known: what a PROXY header says, or the ends of the socket.
    pub(crate) ends: Ends,
    /// The socket's own address: names the port.
    pub(crate) local: SocketAddr,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) slot: Slot,
}

/// Why a connection ends before it has begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHeader {
    #[error("the PROXY header is malformed")]
    Malformed(#[from] Malformed),
    #[error("the PROXY header did not come whole")]
    BrokenOff(#[from] io::Error),
}

impl Arrival {
    /// Whether the connection has to begin with a PROXY header.
    pub(crate) fn has_header(&self, settings: &ProxySettings) -> bool {
        let port = settings.proxy_protocol.get(&self.local.port());
        match port.map(|it| it.receive).unwrap_or_default() {
            ProxyHeaders::None => false,
            ProxyHeaders::OfTrustedProxies => settings.trusts(self.ends.source.ip()),
        }
    }

    /// Reads the PROXY header, and nothing beyond it.
    pub(crate) async fn read_header(
        &mut self,
        mut stream: impl AsyncRead + Unpin,
    ) -> Result<(), NoHeader> {
        let mut header = Vec::new();
        loop {
            match proxy_header::read(&header)? {
                Progress::Proxied(ends) => {
                    self.ends = ends;
                    return Ok(());
                }
                Progress::Unknown => return Ok(()),
                Progress::More(more) => {
                    let read = header.len();
                    header.resize(read + more, 0);
                    let rest = header.get_mut(read..).unwrap_or_default();
                    stream.read_exact(rest).await?;
                }
            }
        }
    }

    /// What endpoints are told of the connection by the PROXY protocol, if its port says so.
    pub(crate) fn introduction(&self, settings: &ProxySettings) -> Option<Introduction> {
        Introduction::of(self.ends, self.local.port(), settings)
    }

    /// What the requests of the connection share.
    pub(crate) fn connection(
        self,
        worker: Rc<Worker>,
        scheme: Scheme,
        server_name: Option<String>,
    ) -> Connection {
        let Ends {
            source,
            destination,
        } = self.ends;
        Connection {
            client: Client {
                server_name,
                scheme,
                peer: source,
                port: self.local.port(),
                forwarded: Forwarded::new(source.ip(), destination, scheme),
            },
            worker,
            tracker: self.tracker,
            local: self.local,
            ends: self.ends,
            _slot: self.slot,
        }
    }
}
