//! The cluster's client: a connection on which it asks, one request after the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, ensure};

use crate::PATIENCE;
use crate::objects::CHANGE;

/// A keep-alive connection.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

/// What is read of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// Which change of the route it was given by.
    pub(crate) change: Option<usize>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::new(stream.try_clone()?),
            writer: stream,
        })
    }

    /// Asks a host for a path.
    pub(crate) fn ask(&mut self, host: &str, path: &str) -> anyhow::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.writer.write_all(request.as_bytes())?;
        read(&mut self.reader)
    }
}

/// Reads an answer that says how long it is.
fn read(reader: &mut impl BufRead) -> anyhow::Result<Answer> {
    let (mut answer, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "the connection has ended");
        let line = line.trim();
        let Some(known) = &mut answer else {
            let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
            let status = status.with_context(|| format!("{line:?} is no answer of HTTP"))?;
            answer = Some(Answer {
                status,
                ..Answer::default()
            });
            continue;
        };
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse()?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case(CHANGE) => {
                known.change = Some(value.trim().parse()?);
            }
            Some(_) => {}
            None => break,
        }
    }
    // Skipped, not kept.
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    answer.context("an answer without a status")
}
