//! The host of an authority, as listeners are compared with it.

use std::borrow::Cow;

/// The longest DNS name with its trailing dot; also the bound of the work that a lookup by label does.
const HOST_BYTES_MAX: usize = 254;

/// The host in lower case without port and trailing dot; nothing if the authority is none, or has user information.
pub(super) fn host(authority: &str) -> Option<Cow<'_, str>> {
    let (host, port) = split_port(authority)?;
    if !port.is_none_or(is_port) {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(is_host_byte) {
        return None;
    }
    Some(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(literal) = authority.strip_prefix('[') {
        let (address, rest) = literal.split_once(']')?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((address, Some(port))),
            None if rest.is_empty() => Some((address, None)),
            None => None,
        };
    }
    match authority.split_once(':') {
        // A second colon without brackets is no host.
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Letters, digits, `-`, `.`, and what is met in practice (`_`) or inside brackets (`:`).
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_port_no_trailing_dot_and_no_upper_case() {
        for (authority, expected) in [
            ("example.com", Some("example.com")),
            ("EXAMPLE.com.:8080", Some("example.com")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("[fd00::1]:80", Some("fd00::1")),
            ("[fd00::1]", Some("fd00::1")),
            ("user@example.com", None),
            ("example.com:", None),
            ("example.com:+80", None),
            ("example.com:65536", None),
            ("a:1:2", None),
            ("[fd00::1]x", None),
            ("exa mple.com", None),
            ("example.com/evil", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(host(authority).as_deref(), expected, "{authority:?}");
        }
        assert_eq!(host(&"a.".repeat(200)), None);
    }

    #[test]
    fn any_authority_has_one_host_or_none() {
        let seeds: [&[u8]; 4] = [
            b"example.com",
            b"EXAMPLE.com.:8080",
            b"[fd00::1]:80",
            b"a@b",
        ];
        let pieces: [&[u8]; 9] = [
            b".", b":", b"[", b"]", b"@", b":80", b"::", b"xn--", b"65535",
        ];
        crate::fuzz::fuzz(&seeds, &pieces, |bytes| {
            let authority = String::from_utf8_lossy(bytes);
            let Some(host) = host(&authority) else {
                return (None, bytes.len() / 4);
            };
            assert!((1..=HOST_BYTES_MAX).contains(&host.len()), "{host}");
            assert!(!host.bytes().any(|it| it.is_ascii_uppercase()), "{host}");
            assert!(
                !host.contains(['/', '@', '[', ']', ' ', '%', '\\']),
                "{host}"
            );
            if !host.contains(':') {
                let trimmed = host.strip_suffix('.').unwrap_or(&host);
                let again = self::host(&host);
                assert_eq!(again.as_deref(), Some(trimmed).filter(|it| !it.is_empty()));
            }
            (Some(host.split('.').count()), bytes.len() / 4)
        });
    }
}
