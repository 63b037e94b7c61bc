//! What two processes of a node say to each other: JSON behind its length. Knows no socket.

use gateway_announce::Legacy;
use gateway_announce::membership::past;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of this protocol.
const PROTOCOL: u32 = 1;
/// What a message may have: a node of hundreds that holds hundreds of addresses needs a tenth of it.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// The length comes first.
const LENGTH_BYTES: usize = 4;

/// One process's word to the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// The successor's first: what it understands.
    Hello(Formats),
    /// It can be handed over.
    Welcome,
    /// It cannot, and the successor has to wait for the end of the other.
    Refused { why: String },
    /// The successor's proxy could serve.
    Ready,
    /// Maps and programs are the successor's. With their lock.
    Datapath,
    /// The successor's programs run.
    Steered,
    /// All the rest, with these descriptors.
    Legacy {
        legacy: Box<Legacy>,
        descriptors: Vec<Role>,
    },
    /// The successor speaks for the node from now on.
    Taken,
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// The lock of the directory where processes meet.
    Lock,
    /// The socket in it.
    Meeting,
    /// Where heartbeats come in.
    Heartbeats,
    /// The socket of an admin server.
    Admin,
}

/// The versions that have to be the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Formats {
    pub(super) protocol: u32,
    /// The layout of the pinned maps.
    pub(super) maps: u32,
    /// What gate 1 leaves.
    pub(super) legacy: u32,
    /// For people.
    pub(super) release: String,
}

/// Why bytes are no message.
#[derive(Debug, Error)]
pub(super) enum Malformed {
    #[error("a message of {0} bytes")]
    TooLong(usize),
    #[error("no message that this release knows")]
    Unknown(#[from] serde_json::Error),
}

/// Puts messages together from what comes in.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Formats {
    pub(super) fn own() -> Self {
        Self {
            protocol: PROTOCOL,
            maps: gateway_l4::SCHEMA_VERSION,
            legacy: past::FORMAT,
            release: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// What keeps processes of these formats apart.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let versions = [
            ("the protocol", self.protocol, other.protocol),
            ("the layout of the maps", self.maps, other.maps),
            ("the state of gate 1", self.legacy, other.legacy),
        ];
        let mut different = versions.into_iter().filter(|it| it.1 != it.2);
        let (what, ours, theirs) = different.next()?;
        Some(format!("{what} is version {ours} here and {theirs} there"))
    }
}

/// A message as bytes.
pub(super) fn encode(message: &Message) -> Result<Vec<u8>, Malformed> {
    let mut bytes = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - LENGTH_BYTES;
    let short = u32::try_from(length).ok();
    let short = short.filter(|_| length <= MESSAGE_BYTES_MAX);
    let short = short.ok_or(Malformed::TooLong(length))?;
    bytes.splice(..LENGTH_BYTES, short.to_be_bytes());
    Ok(bytes)
}

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it is there completely.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Malformed> {
        let Some((length, rest)) = self.bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Err(Malformed::TooLong(length));
        }
        let Some(text) = rest.get(..length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(text)?;
        self.bytes.drain(..LENGTH_BYTES + length);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let bytes = [Message::Hello(Formats::own()), Message::Ready];
        let bytes: Vec<u8> = bytes
            .iter()
            .flat_map(|it| encode(it).expect("bytes"))
            .collect();
        for cut in 1..bytes.len() {
            let (mut inbox, mut came) = (Inbox::default(), Vec::new());
            for part in bytes.chunks(cut) {
                inbox.push(part);
                while let Some(message) = inbox.next().expect("a message") {
                    came.push(message);
                }
            }
            let [Message::Hello(formats), Message::Ready] = came.as_slice() else {
                panic!("{came:?}");
            };
            assert_eq!(*formats, Formats::own());
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_has_come() {
        let mut inbox = Inbox::default();
        inbox.push(&u32::MAX.to_be_bytes());
        assert!(matches!(inbox.next(), Err(Malformed::TooLong(_))));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in ["", "{}", "\"Goodbye\"", "\"Ready", "{\"Refused\":{}}"] {
            let mut inbox = Inbox::default();
            let length = u32::try_from(text.len()).expect("a short text");
            inbox.push(&length.to_be_bytes());
            inbox.push(text.as_bytes());
            assert!(matches!(inbox.next(), Err(Malformed::Unknown(_))), "{text}");
        }
    }

    #[test]
    fn another_release_is_welcome_while_the_formats_are_the_same() {
        let own = Formats::own();
        let release = "0.0.0".to_owned();
        let other = Formats {
            release,
            ..own.clone()
        };
        assert_eq!(own.difference(&other), None);
        let other = Formats {
            maps: own.maps + 1,
            ..own.clone()
        };
        let said = own.difference(&other).expect("a difference");
        assert!(said.contains("layout of the maps"), "{said}");
    }
}
