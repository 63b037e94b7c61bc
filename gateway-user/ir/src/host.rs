//! Host names as the Gateway API writes them: exact, or with a wildcard as the whole first label.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host name to match, in lower case without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// Matches this name only.
    Exact(String),
    /// `*.suffix`: matches any name with one or more labels before `.suffix`; holds the suffix without `*.`.
    Wildcard(String),
    /// Matches every name (no hostname given).
    Any,
}

/// A text that is no host name: empty label, forbidden character, an IP address, or a wildcard elsewhere than in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHost;

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a DNS name (RFC 1123), optionally with `*.` in front")
    }
}

impl std::error::Error for InvalidHost {}

impl HostPattern {
    /// Tells whether the pattern covers a host name, given in lower case and without port and trailing dot.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Wildcard(suffix) => covers(suffix, host),
            Self::Any => true,
        }
    }

    /// What two patterns have in common: the more specific of the two, or nothing (Gateway API: `HTTPRouteSpec.hostnames`).
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, any_other) | (any_other, Self::Any) => Some(any_other.clone()),
            (Self::Exact(name), pattern) | (pattern, Self::Exact(name)) => {
                pattern.matches(name).then(|| Self::Exact(name.clone()))
            }
            (Self::Wildcard(a), Self::Wildcard(b)) if a == b || covers(a, b) => {
                Some(Self::Wildcard(b.clone()))
            }
            (Self::Wildcard(a), Self::Wildcard(b)) if covers(b, a) => {
                Some(Self::Wildcard(a.clone()))
            }
            (Self::Wildcard(_), Self::Wildcard(_)) => None,
        }
    }

    /// How specific the pattern is, to compare: exact above wildcard above `Any`, then by length.
    pub fn specificity(&self) -> (u8, usize) {
        match self {
            Self::Exact(name) => (2, name.len()),
            Self::Wildcard(suffix) => (1, suffix.len()),
            Self::Any => (0, 0),
        }
    }
}

/// Whether `host` has at least one label in front of `.suffix`.
fn covers(suffix: &str, host: &str) -> bool {
    host.strip_suffix(suffix)
        .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(suffix) => (true, suffix),
            None => (false, text.as_str()),
        };
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        if is_address || name.len() > 253 || !name.split('.').all(is_label) {
            return Err(InvalidHost);
        }
        Ok(if wildcard {
            Self::Wildcard(name.to_owned())
        } else {
            Self::Exact(name.to_owned())
        })
    }
}

fn is_label(label: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    (1..=63).contains(&label.len())
        && label.as_bytes().iter().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "*" {
            Ok(Self::Any)
        } else {
            text.parse()
        }
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostPattern {
        HostPattern::try_from(text.to_owned()).expect("a valid host")
    }

    #[test]
    fn a_wildcard_needs_a_label_in_front_and_takes_several() {
        assert!(host("*.example.com").matches("a.example.com"));
        assert!(host("*.example.com").matches("a.b.example.com"));
        assert!(!host("*.example.com").matches("example.com"));
        assert!(!host("*.example.com").matches(".example.com"));
        assert!(!host("*.example.com").matches("aexample.com"));
    }

    #[test]
    fn an_intersection_is_the_more_specific_pattern() {
        for (a, b, both) in [
            ("*", "a.b", Some("a.b")),
            ("*.b", "a.b", Some("a.b")),
            ("*.b", "*.a.b", Some("*.a.b")),
            ("*.b", "b", None),
            ("a.b", "c.b", None),
            ("*.a.b", "*.c.b", None),
            ("*", "*", Some("*")),
        ] {
            let expected = both.map(host);
            assert_eq!(host(a).intersection(&host(b)), expected, "{a} {b}");
            assert_eq!(host(b).intersection(&host(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn refuses_what_is_no_host_name() {
        for text in [
            "",
            "a..b",
            "-a.b",
            "a_b",
            "*.",
            "a.*.b",
            "*a.b",
            "192.0.2.1",
            "a.b.",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(InvalidHost), "{text}");
        }
    }
}
