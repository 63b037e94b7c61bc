//! As much of Protocol Buffers as the messages of `ext_authz` need: fields are written and read one by one.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// Bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A string, bytes or message; what is empty is the default and left out.
    pub(super) fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        if !value.is_empty() {
            self.varint(u64::from(field) << 3 | 2);
            self.varint(value.len() as u64);
            self.0.extend_from_slice(value);
        }
        self
    }

    /// A message that is there even if it is empty.
    pub(super) fn message(mut self, field: u32, value: Self) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.0.len() as u64);
        self.0.extend(value.0);
        self
    }

    /// A number; 0 is the default and left out.
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A field that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a type that none of our fields has.
    Other,
}

/// The fields of a message, in the order in which they stand there; nothing if it is not one.
pub(super) fn fields(mut bytes: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = u32::try_from(key >> 3).ok().filter(|field| *field > 0)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => skip(&mut bytes, 8)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(value)
            }
            5 => skip(&mut bytes, 4)?,
            // Groups are in no message of version 3.
            _unknown => return None,
        };
        fields.push((field, value));
    }
    Some(fields)
}

fn skip<'a>(bytes: &mut &'a [u8], length: usize) -> Option<Value<'a>> {
    let (_, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Value::Other)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;

    use super::*;

    #[test]
    fn a_message_is_bytes_as_in_the_documentation() {
        let message = Message::default().number(1, 150).bytes(2, "testing");
        let bytes = message.number(3, 0).bytes(4, "").into_bytes();
        assert_eq!(bytes, b"\x08\x96\x01\x12\x07testing");
        let read = fields(&bytes).expect("a message");
        assert_eq!(
            read,
            [(1, Value::Number(150)), (2, Value::Bytes(b"testing"))]
        );
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        for bytes in [
            &b"\x08"[..],
            b"\x08\x96",
            b"\x12\x07test",
            b"\x0b",
            b"\x00\x00",
            b"\x0d\x00",
            &[0xff; 11],
        ] {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(number in 1_u64.., text in "[a-z]{1,300}", field in 1_u32..=536_870_911) {
            let inner = Message::default().number(field, number);
            let outer = Message::default().bytes(field, &text).message(field, inner);
            let bytes = outer.into_bytes();
            let read = fields(&bytes).expect("a message");
            proptest::prop_assert_eq!(read.first(), Some(&(field, Value::Bytes(text.as_bytes()))));
            let Some((_, Value::Bytes(inner))) = read.last() else {
                panic!("{read:?}");
            };
            proptest::prop_assert_eq!(fields(inner), Some(vec![(field, Value::Number(number))]));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(fields(&bytes));
        }
    }
}
