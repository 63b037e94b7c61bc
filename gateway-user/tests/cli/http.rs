//! HTTP/1.1 clients: one request over a connection of its own, or many over one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// How long anything may take on loopback.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Fetches a path from a port of loopback.
///
/// # Errors
/// When nobody listens, or what comes back is not a whole answer.
pub(crate) fn get(port: u16, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::other(format!("not an answer: {text:?}")))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// A connection that carries one request after the other.
pub(crate) struct Connection<S: Read>(BufReader<S>);

impl Connection<TcpStream> {
    /// Connects to a port of loopback.
    pub(crate) fn open(port: u16) -> Self {
        Self::over(tcp(port))
    }
}

/// A connection to a port of loopback that waits for nothing longer than it may take.
pub(crate) fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket with a timeout");
    stream.set_nodelay(true).expect("a socket without delay");
    stream
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends a request without a body; the header lines end in CRLF. Gives status, head and body.
    pub(crate) fn send(&mut self, line: &str, headers: &str) -> io::Result<Answer> {
        let request = format!("{line} HTTP/1.1\r\n{headers}\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut answer = parse(&head).ok_or_else(|| io::Error::other(head))?;
        let length = answer.header("content-length");
        let length = length.map_or(Ok(0), str::parse).map_err(io::Error::other)?;
        let mut body = vec![0; length];
        if !line.starts_with("HEAD ") {
            self.0.read_exact(&mut body)?;
            answer.body = String::from_utf8(body).map_err(io::Error::other)?;
        }
        Ok(answer)
    }
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| (key == name).then_some(value))
    }
}
