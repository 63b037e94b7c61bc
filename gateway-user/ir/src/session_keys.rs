//! The keys of what clients keep for later.

use std::fmt;

use serde::{Serialize, Serializer};

/// What TLS session tickets and the tokens of session persistence are sealed with, by every node alike. Never shown in
/// logs or dumps.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKeys {
    /// Seals.
    pub current: Vec<u8>,
    /// What it has sealed is still taken, while the key is rotated.
    pub previous: Option<Vec<u8>>,
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(redacted)")
    }
}

impl Serialize for SessionKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("redacted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_keys_never_show_themselves() {
        let keys = SessionKeys {
            current: b"TOPSECRET".to_vec(),
            previous: Some(b"TOPSECRET".to_vec()),
        };
        let shown = serde_json::to_string(&keys).expect("serializes");
        for shown in [format!("{keys:?}"), shown] {
            assert!(shown.contains("redacted"), "{shown}");
            assert!(
                !shown.contains("TOPSECRET") && !shown.contains("84"),
                "{shown}"
            );
        }
    }
}
