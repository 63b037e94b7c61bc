//! The small grammars that several fields share.

use http::HeaderName;

/// RFC 3986 §3.3: unreserved and sub-delims, `:`, `@`, `/`, or a percent sign with two hexadecimal digits.
pub(crate) fn is_pchar(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', a, b, tail @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => tail,
            [byte, tail @ ..]
                if byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(byte) =>
            {
                tail
            }
            [_, ..] => return false,
        };
    }
}

/// Reads a header name; any case will do.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_invalid| format!("{name:?} is not a header name"))
}
