//! The PROXY protocol, versions 1 and 2 (HAProxy, "The PROXY protocol"): the header before the first byte of a connection
//! that says who made it. Bytes in, addresses out, and the way back; no IO.

mod v1;
mod v2;

use std::net::SocketAddr;

use gateway_ir::{ProxyHeaderVersion, ProxySettings};

/// Every header has at least as many bytes: `PROXY UNKNOWN` with its line end.
const HEADER_BYTES_MIN: usize = 15;

/// A connection as its client made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

impl Ends {
    /// The ends, IPv4 in its own form.
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            source: canonical(source),
            destination: canonical(destination),
        }
    }
}

/// How far a header has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// So many more bytes belong to it for certain.
    More(usize),
    /// It is whole, and tells of a client.
    Proxied(Ends),
    /// It is whole; the proxy speaks for itself, or does not know for whom.
    Unknown,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    #[error("the line of version 1 is longer than 107 bytes")]
    LineTooLong,
    #[error("the line of version 1 does not have its form")]
    Line,
    #[error("version 2 with a version or command that does not exist")]
    Command,
    #[error("version 2 with a protocol that is not a stream, or does not exist")]
    Protocol,
    #[error("version 2 with more bytes than are read")]
    TooLong,
    #[error("version 2 with addresses or fields that do not fit in")]
    Length,
    #[error("version 2 with a wrong checksum")]
    Checksum,
}

/// Reads what has come of a header. Nothing beyond its end is asked for, so that what follows stays in the socket.
pub(crate) fn read(bytes: &[u8]) -> Result<Progress, Malformed> {
    if bytes.len() < HEADER_BYTES_MIN {
        return Ok(Progress::More(HEADER_BYTES_MIN - bytes.len()));
    }
    if bytes.starts_with(&v2::SIGNATURE) {
        v2::read(bytes)
    } else if bytes.starts_with(v1::START) {
        v1::read(bytes)
    } else {
        Err(Malformed::Missing)
    }
}

/// What an endpoint is told before anything else on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) version: ProxyHeaderVersion,
    pub(crate) ends: Ends,
}

impl Introduction {
    /// What is said of a connection to a port, if anything is.
    pub(crate) fn of(ends: Ends, port: u16, settings: &ProxySettings) -> Option<Self> {
        let version = settings.proxy_protocol.get(&port)?.send?;
        Some(Self { version, ends })
    }

    /// The header.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self.version {
            ProxyHeaderVersion::V1 => v1::write(&self.ends).into_bytes(),
            ProxyHeaderVersion::V2 => v2::write(&self.ends),
        }
    }
}

#[cfg(test)]
mod tests;
