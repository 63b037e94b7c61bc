//! The canonical form of a path: what is matched is what is forwarded.

use std::borrow::Cow;

/// Why a path has no single reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidPath {
    /// Does not start with `/`.
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    Encoding,
    /// An encoded `/`, `\` or NUL, or a plain `\`: servers disagree on whether these separate.
    HiddenSeparator,
}

impl InvalidPath {
    /// The sentence for the client.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NotAbsolute => "the path does not start with a slash\n",
            Self::Encoding => "the path has an invalid percent-encoding\n",
            Self::HiddenSeparator => "the path hides a separator (%2f, %5c, %00 or a backslash)\n",
        }
    }
}

/// Resolves dot segments, encoded or not (RFC 3986 §5.2.4), and leaves every other byte as it is.
pub(super) fn normalize(path: &str) -> Result<Cow<'_, str>, InvalidPath> {
    let Some(inner) = path.strip_prefix('/') else {
        return Err(InvalidPath::NotAbsolute);
    };
    let bytes = path.as_bytes();
    if bytes.contains(&b'\\') {
        return Err(InvalidPath::HiddenSeparator);
    }
    let encoded = bytes.contains(&b'%');
    if encoded {
        check_encoding(bytes)?;
    }
    if !encoded && !path.contains("/.") {
        return Ok(Cow::Borrowed(path));
    }
    if !inner.split('/').any(is_dots) {
        return Ok(Cow::Borrowed(path));
    }
    Ok(Cow::Owned(remove_dot_segments(inner)))
}

fn check_encoding(path: &[u8]) -> Result<(), InvalidPath> {
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digit = |offset: usize| {
            let byte = path.get(at + offset).copied().unwrap_or(b'%');
            char::from(byte).to_digit(16).ok_or(InvalidPath::Encoding)
        };
        if matches!(digit(1)? * 16 + digit(2)?, 0x00 | 0x2f | 0x5c) {
            return Err(InvalidPath::HiddenSeparator);
        }
    }
    Ok(())
}

fn is_dots(segment: &str) -> bool {
    is_dot(segment) || is_double_dot(segment)
}

fn is_dot(segment: &str) -> bool {
    segment == "." || segment.eq_ignore_ascii_case("%2e")
}

fn is_double_dot(segment: &str) -> bool {
    segment == ".."
        || ["%2e.", ".%2e", "%2e%2e"]
            .iter()
            .any(|form| segment.eq_ignore_ascii_case(form))
}

fn remove_dot_segments(inner: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_dots = false;
    for segment in inner.split('/') {
        ends_in_dots = is_dots(segment);
        if is_double_dot(segment) {
            // Above the root is the root.
            let _above = kept.pop();
        } else if !is_dot(segment) {
            kept.push(segment);
        }
    }
    if ends_in_dots {
        kept.push("");
    }
    let mut path = String::with_capacity(inner.len() + 1);
    for segment in kept {
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() {
        path.push('/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_dot_segments_and_keeps_every_other_byte() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b/", "/a//b/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../etc", "/etc"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2e/b", "/a/b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/...", "/a/..."),
            ("/%61%20b", "/%61%20b"),
        ] {
            assert_eq!(normalize(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn refuses_what_servers_read_differently() {
        for (path, why) in [
            ("/%", InvalidPath::Encoding),
            ("/%2", InvalidPath::Encoding),
            ("/%zz", InvalidPath::Encoding),
            ("/%%41", InvalidPath::Encoding),
            ("/a%2fb", InvalidPath::HiddenSeparator),
            ("/a%2Fb", InvalidPath::HiddenSeparator),
            ("/a%5cb", InvalidPath::HiddenSeparator),
            ("/a%00", InvalidPath::HiddenSeparator),
            ("/a\\b", InvalidPath::HiddenSeparator),
            ("a", InvalidPath::NotAbsolute),
            ("", InvalidPath::NotAbsolute),
        ] {
            assert_eq!(normalize(path), Err(why), "{path}");
        }
    }

    /// Whatever comes: a canonical path has no dot segment, is the canonical form of itself, and is what a reading by the
    /// letter of RFC 3986 §5.2.4 gives.
    #[test]
    fn any_path_has_one_canonical_form_or_none() {
        let seeds: [&[u8]; 4] = [b"/a/b", b"/a/../b", b"/%2e%2E/x", b"/a%20b/./"];
        let pieces: [&[u8]; 12] = [
            b"/", b".", b"..", b"%2e", b"%2E", b"%2f", b"%5c", b"%00", b"%", b"\\", b"//", b"/../",
        ];
        crate::fuzz::fuzz(&seeds, &pieces, |bytes| {
            let path = String::from_utf8_lossy(bytes);
            let canonical = normalize(&path);
            if let Ok(once) = &canonical {
                assert!(once.starts_with('/') && !once.contains('\\'), "{once}");
                assert!(!once.split('/').any(is_dots), "{once}");
                assert_eq!(normalize(once).as_deref(), Ok(&**once));
                assert_eq!(*once, by_the_letter(&path));
            }
            let seen = canonical.map(|it| it.split('/').count());
            (seen.map_err(InvalidPath::text), bytes.len() / 4)
        });
    }

    /// One segment after the other, from the output buffer of the RFC.
    fn by_the_letter(path: &str) -> String {
        let mut output = String::new();
        let mut segments = path.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            if is_double_dot(segment) {
                output.truncate(output.rfind('/').unwrap_or(0));
            } else if !is_dot(segment) {
                output.push('/');
                output.push_str(segment);
                continue;
            }
            if is_last {
                output.push('/');
            }
        }
        output
    }

    proptest::proptest! {
        #[test]
        fn a_normalized_path_is_absolute_and_stays_as_it_is(path in "(/(\\.|\\.\\.|%2e|a|))*/?") {
            if let Ok(once) = normalize(&path) {
                proptest::prop_assert!(once.starts_with('/'));
                proptest::prop_assert!(!once.split('/').any(is_dots));
                proptest::prop_assert_eq!(normalize(&once).expect("canonical"), once.clone());
            }
        }
    }
}
