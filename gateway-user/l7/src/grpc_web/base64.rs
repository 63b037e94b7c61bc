//! Base64 (RFC 4648 §4) as gRPC-Web uses it: pieces that are each padded may follow each other.

use bytes::{Bytes, BytesMut};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PADDING: u8 = b'=';

/// Text that is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not base64")]
pub(crate) struct NotBase64;

/// Bytes as text, padded.
pub(super) fn encode(bytes: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut three = [0; 3];
        three
            .iter_mut()
            .zip(group)
            .for_each(|(to, from)| *to = *from);
        let [a, b, c] = three.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for place in 0..4_usize {
            let digit = (bits >> (18 - 6 * place)) & 63;
            let letter = ALPHABET.get(digit as usize).copied();
            let is_padding = place > group.len();
            let letter = letter.filter(|_| !is_padding).unwrap_or(PADDING);
            text.extend_from_slice(&[letter]);
        }
    }
    text.freeze()
}

/// Reads text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The group that has begun.
    group: [u8; 4],
    filled: usize,
}

impl Decoder {
    /// Reads the next piece.
    pub(crate) fn decode(&mut self, text: &[u8]) -> Result<Bytes, NotBase64> {
        let mut bytes = BytesMut::with_capacity(text.len() / 4 * 3 + 3);
        for letter in text {
            let place = self.group.get_mut(self.filled).ok_or(NotBase64)?;
            *place = *letter;
            self.filled += 1;
            if self.filled == self.group.len() {
                self.filled = 0;
                bytes.extend_from_slice(read(self.group)?.as_slice());
            }
        }
        Ok(bytes.freeze())
    }

    /// Whether the text may end here.
    pub(crate) fn is_at_end(&self) -> bool {
        self.filled == 0
    }
}

fn read(group: [u8; 4]) -> Result<Group, NotBase64> {
    let digits = match group {
        [a, b, PADDING, PADDING] => [Some(a), Some(b), None, None],
        [a, b, c, PADDING] => [Some(a), Some(b), Some(c), None],
        all => all.map(Some),
    };
    let length = digits.iter().flatten().count() - 1;
    let mut bits: u32 = 0;
    for letter in digits {
        let value = letter.map_or(Ok(0), value)?;
        bits = bits << 6 | value;
    }
    let [_, bytes @ ..] = bits.to_be_bytes();
    // Bits that stand for nothing are zero (RFC 4648 §3.5).
    if bytes.iter().skip(length).any(|byte| *byte != 0) {
        return Err(NotBase64);
    }
    Ok(Group { bytes, length })
}

/// Up to three bytes.
struct Group {
    bytes: [u8; 3],
    length: usize,
}

impl Group {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

fn value(letter: u8) -> Result<u32, NotBase64> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _other => return Err(NotBase64),
    };
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 4648 §10.
    #[test]
    fn the_test_vectors() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text), Ok(bytes.into()));
        }
        // Pieces that are each padded.
        assert_eq!(decode("Zg==Zm8=Zm9v"), Ok("ffofoo".into()));
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in [
            "Zg=", "Z", "Zm9v=", "Zg=a", "=AAA", "Zh==", "Zm9=", "Zm\n9", "Zm-_", "====",
        ] {
            assert_eq!(decode(text), Err(NotBase64), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back_however_their_text_is_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            cut in 0_usize..64,
        ) {
            let text = encode(&bytes);
            let (first, second) = text.split_at(cut.min(text.len()));
            let mut decoder = Decoder::default();
            let mut read = decoder.decode(first).expect("base64").to_vec();
            read.extend(decoder.decode(second).expect("base64"));
            prop_assert!(decoder.is_at_end());
            prop_assert_eq!(read, bytes);
        }
    }

    fn decode(text: &str) -> Result<Bytes, NotBase64> {
        let mut decoder = Decoder::default();
        let bytes = decoder.decode(text.as_bytes())?;
        decoder.is_at_end().then_some(bytes).ok_or(NotBase64)
    }
}
