//! As much DNS as a demonstration needs: one question, an A record and a TXT record (RFC 1035).

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::anyhow;
use tokio::net::UdpSocket;

use crate::deadline::bounded;

/// The address that every name has.
pub const ANSWER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_TXT: u16 = 16;
const CLASS_IN: u16 = 1;
/// A pointer to the question's name, which always follows the header.
const NAME_POINTER: u16 = 0xc00c;

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The A record.
    pub address: Ipv4Addr,
    /// The TXT record: `POD CLIENT-ADDRESS`.
    pub text: String,
    /// The address that the query left from.
    pub local: SocketAddr,
}

/// Asks a server for a name over UDP.
///
/// # Errors
/// When no valid answer comes in time, or the port is refused.
pub async fn query(server: SocketAddr, name: &str) -> anyhow::Result<Answer> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    query_from(&socket, server, name).await
}

/// The same from a socket that exists: one flow for several questions.
///
/// # Errors
/// When no valid answer comes in time, or the port is refused.
pub async fn query_from(
    socket: &UdpSocket,
    server: SocketAddr,
    name: &str,
) -> anyhow::Result<Answer> {
    socket.connect(server).await?;
    let local = socket.local_addr()?;
    let id = local.port();
    socket.send(&question(id, name)).await?;
    let mut buffer = [0; 512];
    let length = bounded(&format!("answer of {server}"), socket.recv(&mut buffer)).await?;
    let reply = buffer.get(..length).unwrap_or_default();
    let (address, text) =
        parse_reply(reply, id).ok_or_else(|| anyhow!("{server} sent a malformed answer"))?;
    Ok(Answer {
        address,
        text,
        local,
    })
}

/// Answers a query; none: it is no query.
pub(crate) fn reply(query: &[u8], text: &str) -> Option<Vec<u8>> {
    let (id, rest) = query.split_first_chunk::<2>()?;
    let is_response = rest.first()? & 0x80 != 0;
    if is_response {
        return None;
    }
    let end = question_end(query)?;
    let question = query.get(HEADER_BYTES..end)?;
    let mut reply = Vec::with_capacity(128);
    reply.extend_from_slice(id);
    // Response, authoritative, no error; 1 question, 1 answer, 0 authorities, 1 additional record.
    reply.extend_from_slice(&[0x84, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    reply.extend_from_slice(question);
    record(&mut reply, TYPE_A, &ANSWER.octets());
    let length = u8::try_from(text.len()).ok()?;
    let mut data = vec![length];
    data.extend_from_slice(text.as_bytes());
    record(&mut reply, TYPE_TXT, &data);
    Some(reply)
}

fn question(id: u16, name: &str) -> Vec<u8> {
    let mut query = Vec::with_capacity(64);
    query.extend_from_slice(&id.to_be_bytes());
    query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = label.as_bytes().get(..63).unwrap_or(label.as_bytes());
        query.push(u8::try_from(label.len()).unwrap_or(63));
        query.extend_from_slice(label);
    }
    query.push(0);
    query.extend_from_slice(&TYPE_A.to_be_bytes());
    query.extend_from_slice(&CLASS_IN.to_be_bytes());
    query
}

fn record(message: &mut Vec<u8>, kind: u16, data: &[u8]) {
    message.extend_from_slice(&NAME_POINTER.to_be_bytes());
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    message.extend_from_slice(&60_u32.to_be_bytes());
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(data);
}

/// The first byte after the first question.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = HEADER_BYTES;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at + 4);
        }
    }
}

fn parse_reply(message: &[u8], id: u16) -> Option<(Ipv4Addr, String)> {
    if message.get(..2)? != id.to_be_bytes() {
        return None;
    }
    let (mut address, mut text) = (None, None);
    let mut at = question_end(message)?;
    while let Some(head) = message.get(at..at + 12) {
        let kind = u16::from_be_bytes([*head.get(2)?, *head.get(3)?]);
        let length = usize::from(u16::from_be_bytes([*head.get(10)?, *head.get(11)?]));
        let data = message.get(at + 12..at + 12 + length)?;
        match kind {
            TYPE_A => address = Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?)),
            TYPE_TXT => text = String::from_utf8(data.get(1..)?.to_vec()).ok(),
            _ => {}
        }
        at += 12 + length;
    }
    Some((address?, text?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_repeats_the_question_and_carries_both_records() {
        let reply = reply(&question(7, "a.example"), "dns-1 192.0.2.1:5353").unwrap();
        let text = "dns-1 192.0.2.1:5353".to_owned();
        assert_eq!(parse_reply(&reply, 7), Some((ANSWER, text)));
        assert_eq!(parse_reply(&reply, 8), None, "another query's answer");
    }

    #[test]
    fn what_is_no_query_gets_no_reply() {
        let answered = reply(&question(7, "a.example"), "x").unwrap();
        assert_eq!(reply(&answered, "x"), None, "a reply");
        assert_eq!(reply(&[], "x"), None, "nothing");
        assert_eq!(reply(&question(7, "a.example")[..14], "x"), None, "cut");
    }
}
