//! Headers that belong to one hop.

use http::{HeaderMap, HeaderName, HeaderValue, header};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Removes what is meant for one connection only (RFC 9110 §7.6.1), and what `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // A look at each header costs less than a lookup of each name, and mostly there is nothing to strip.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    if headers.contains_key(header::CONNECTION) {
        strip_nominated(headers);
    }
    let accepts_trailers = headers.contains_key(header::TE) && names_trailers(headers);
    for name in [
        header::CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    if accepts_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

fn names_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &header::TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

fn strip_nominated(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
        .filter_map(|token| HeaderName::try_from(token).ok())
        .filter(may_be_nominated)
        .collect();
    for name in nominated {
        headers.remove(name);
    }
}

/// A client must not take away what an endpoint decides on: host, framing, and who the client is.
fn may_be_nominated(name: &HeaderName) -> bool {
    !(*name == header::HOST
        || *name == header::TE
        || *name == X_REAL_IP
        || *name == header::FORWARDED
        || frames_messages(name)
        || name.as_str().starts_with("x-forwarded-"))
}

/// Whether a header delimits messages or connections; only the engine writes these.
pub(crate) fn frames_messages(name: &HeaderName) -> bool {
    *name == header::CONTENT_LENGTH
        || *name == header::TRANSFER_ENCODING
        || *name == header::CONNECTION
        || *name == header::UPGRADE
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

/// The members of a list header, over all its lines.
pub(crate) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_go_with_those_that_connection_names() {
        let mut headers = headers(&[
            ("connection", "keep-alive, X-Secret"),
            ("connection", "x-other"),
            ("keep-alive", "5"),
            ("proxy-connection", "close"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(
            headers,
            self::headers(&[("accept", "*/*"), ("te", "trailers")])
        );
    }

    #[test]
    fn connection_cannot_take_away_what_endpoints_decide_on() {
        let kept = [
            ("host", "a.b"),
            ("content-length", "3"),
            ("x-forwarded-for", "x"),
        ];
        let mut headers = headers(&kept);
        headers.insert(
            header::CONNECTION,
            HeaderValue::from_static("host, content-length, x-forwarded-for, bad token"),
        );
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, self::headers(&kept));
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }
}
