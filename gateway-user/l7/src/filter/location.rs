//! Paths and locations that filters make of a request's.

use std::fmt::Write;

use gateway_ir::{PathModifier, Redirect, Scheme};

/// Where a request was sent to, and which part of its path the rule matched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// What the client speaks.
    pub(crate) scheme: Scheme,
    /// Without port; an IPv6 address without brackets.
    pub(crate) host: &'a str,
    /// The listener's.
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// The matched prefix without a trailing slash; empty for other kinds of matches.
    pub(crate) prefix: &'a str,
}

/// The value of `Location` (Gateway API: `HTTPRequestRedirectFilter`).
pub(super) fn location(redirect: &Redirect, place: &Place<'_>) -> String {
    let scheme = redirect.scheme.unwrap_or(place.scheme);
    let port = match (redirect.port, redirect.scheme) {
        (Some(port), _) => port,
        (None, Some(scheme)) => well_known_port(scheme),
        (None, None) => place.port,
    };
    let mut location = String::from(match scheme {
        Scheme::Http => "http://",
        Scheme::Https => "https://",
    });
    let host = redirect.hostname.as_deref().unwrap_or(place.host);
    if host.contains(':') {
        location.extend(["[", host, "]"]);
    } else {
        location.push_str(host);
    }
    if port != well_known_port(scheme) {
        write!(location, ":{port}").expect("a String takes every write");
    }
    match &redirect.path {
        Some(modifier) => location.push_str(&modified_path(modifier, place)),
        None => location.push_str(place.path),
    }
    if let Some(query) = place.query {
        location.extend(["?", query]);
    }
    location
}

fn well_known_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

/// Gateway API: `HTTPPathModifier`.
pub(super) fn modified_path(modifier: &PathModifier, place: &Place<'_>) -> String {
    match modifier {
        PathModifier::ReplaceFullPath(path) => absolute(path.clone()),
        PathModifier::ReplacePrefixMatch(replacement) => {
            // The rest is empty or starts with a slash: prefixes are whole path elements.
            let rest = place.path.strip_prefix(place.prefix).unwrap_or_default();
            if rest.is_empty() {
                return absolute(replacement.clone());
            }
            absolute(format!("{}{rest}", replacement.trim_end_matches('/')))
        }
    }
}

fn absolute(path: String) -> String {
    if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    /// Gateway API, `HTTPPathModifier.replacePrefixMatch`: its table.
    #[test]
    fn a_replaced_prefix_is_whole_elements_and_one_slash() {
        for (path, prefix, replacement, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo", "", "/xyz", "/xyz/foo"),
        ] {
            let place = Place {
                path,
                prefix,
                ..here()
            };
            let modifier = PathModifier::ReplacePrefixMatch(replacement.to_owned());
            let made = modified_path(&modifier, &place);
            assert_eq!(made, expected, "{path} {prefix} {replacement}");
        }
        let full = PathModifier::ReplaceFullPath("/one".to_owned());
        assert_eq!(modified_path(&full, &here()), "/one");
    }

    /// Gateway API, `HTTPRequestRedirectFilter.port`: "If redirect scheme is not-empty, the redirect port MUST be the
    /// well-known port associated with the redirect scheme. […] If redirect scheme is empty, the redirect port MUST be
    /// the Gateway Listener port. Implementations SHOULD NOT add the port number in the 'Location' header" for HTTP on
    /// port 80 and HTTPS on port 443.
    #[test]
    fn the_port_is_the_redirects_then_the_schemes_then_the_listeners() {
        for (scheme, port, listener, expected) in [
            (None, None, 80, "http://a.b/x?q"),
            (None, None, 8080, "http://a.b:8080/x?q"),
            (None, Some(8083), 8080, "http://a.b:8083/x?q"),
            (None, Some(80), 8080, "http://a.b/x?q"),
            (Some(Scheme::Https), None, 8080, "https://a.b/x?q"),
            (Some(Scheme::Https), Some(443), 80, "https://a.b/x?q"),
            (Some(Scheme::Https), Some(8443), 80, "https://a.b:8443/x?q"),
            (Some(Scheme::Http), None, 8443, "http://a.b/x?q"),
        ] {
            let redirect = Redirect {
                scheme,
                port,
                ..nothing()
            };
            let place = Place {
                port: listener,
                ..here()
            };
            assert_eq!(location(&redirect, &place), expected, "{redirect:?}");
        }
    }

    #[test]
    fn an_address_as_host_keeps_its_brackets() {
        let place = Place {
            host: "fd00::1",
            ..here()
        };
        assert_eq!(location(&nothing(), &place), "http://[fd00::1]/x?q");
    }

    fn here() -> Place<'static> {
        Place {
            scheme: Scheme::Http,
            host: "a.b",
            port: 80,
            path: "/x",
            query: Some("q"),
            prefix: "",
        }
    }

    fn nothing() -> Redirect {
        Redirect {
            scheme: None,
            hostname: None,
            path: None,
            port: None,
            status: StatusCode::FOUND,
        }
    }
}
