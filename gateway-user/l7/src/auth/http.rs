//! Servers that are asked by a request like the client's (Gateway API: `HTTPAuthConfig`).

use bytes::Bytes;
use gateway_ir::Listing;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};

use super::{Edit, Facts, Grant, Mode, is_writable};
use crate::refusal::Refusal;

/// "The following headers must always be sent"; Content-Length is that of the question.
const ALWAYS: [HeaderName; 2] = [header::HOST, header::AUTHORIZATION];

/// What describes the answer itself, and would be wrong of the client's request.
const OF_THE_ANSWER: [HeaderName; 9] = [
    header::ALLOW,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::DATE,
    header::SERVER,
    header::VARY,
];

pub(super) fn question(
    head: &Parts,
    facts: &Facts<'_>,
    path: &str,
    listed: &[HeaderName],
) -> Result<(Parts, Bytes), Refusal> {
    let target = format!("{path}{}", facts.target);
    let target: Uri = target
        .parse()
        .map_err(|_too_long| Refusal::AuthorizationFailed)?;
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    for name in ALWAYS.iter().chain(listed) {
        if is_writable(name) || *name == header::HOST {
            headers.remove(name);
            for value in head.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
    let body = facts.body.clone().unwrap_or_default();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    Ok((request.into_parts().0, body))
}

/// What of a yes the endpoint gets.
pub(super) fn granted(answer: &HeaderMap, copied: &Listing<HeaderName>) -> Grant {
    let is_copied = |name: &HeaderName| match copied {
        Listing::Any => !OF_THE_ANSWER.contains(name),
        Listing::These(names) => names.contains(name),
    };
    let mut edits = Vec::new();
    for name in answer
        .keys()
        .filter(|name| is_writable(name) && is_copied(name))
    {
        for (index, value) in answer.get_all(name).iter().enumerate() {
            edits.push(Edit {
                name: name.clone(),
                value: value.clone(),
                mode: if index == 0 { Mode::Set } else { Mode::Append },
            });
        }
    }
    Grant {
        edits,
        ..Grant::default()
    }
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;

    /// "`Host`, `Method`, `Path`, `Content-Length`, `Authorization`"; "If this list is empty, then only those headers must
    /// be sent"; "`Content-Length` must be `0`" without a body.
    #[test]
    fn the_server_sees_what_is_always_sent_and_what_is_listed() {
        let head = Request::put("/x?q=1")
            .header("host", "shop.test")
            .header("authorization", "Bearer 1")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("x-secret", "1")
            .header("content-length", "999");
        let (head, ()) = head.body(()).expect("a request").into_parts();
        let target = PathAndQuery::from_static("/x?q=1");
        let mut facts = facts(&target);
        let (asked, body) = question(&head, &facts, "", &[]).expect("a question");
        assert_eq!(
            (asked.method, asked.uri.to_string()),
            (head.method.clone(), "/x?q=1".to_owned())
        );
        assert_eq!(
            lines(&asked.headers),
            [
                "host: shop.test",
                "authorization: Bearer 1",
                "content-length: 0"
            ]
        );
        assert!(body.is_empty());

        facts.body = Some(Bytes::from_static(b"abc"));
        let listed = [
            header::COOKIE,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ];
        let (asked, body) = question(&head, &facts, "/check", &listed).expect("a question");
        assert_eq!(asked.uri, "/check/x?q=1");
        assert_eq!(
            lines(&asked.headers),
            [
                "host: shop.test",
                "authorization: Bearer 1",
                "cookie: a=1",
                "cookie: b=2",
                "content-length: 3"
            ]
        );
        assert_eq!(body, "abc");
    }

    /// "AllowedResponseHeaders specifies what headers from the authorization response will be copied into the request to
    /// the backend. If this list is empty, then all headers from the authorization server except Authority or Host".
    #[test]
    fn the_endpoint_gets_the_headers_of_a_yes() {
        let mut answer = HeaderMap::new();
        for (name, value) in [
            ("x-user", "ann"),
            ("x-role", "a"),
            ("x-role", "b"),
            ("host", "evil"),
            ("content-length", "5"),
            ("content-type", "text/plain"),
            ("connection", "close"),
        ] {
            answer.append(name, HeaderValue::from_static(value));
        }
        let mut request = HeaderMap::new();
        request.insert("host", HeaderValue::from_static("shop.test"));
        request.insert("x-user", HeaderValue::from_static("forged"));
        granted(&answer, &Listing::Any).edit_request(&mut request);
        assert_eq!(
            lines(&request),
            ["host: shop.test", "x-user: ann", "x-role: a", "x-role: b"]
        );
        let listed = Listing::These(vec![HeaderName::from_static("x-role"), header::HOST]);
        let mut request = HeaderMap::new();
        granted(&answer, &listed).edit_request(&mut request);
        assert_eq!(lines(&request), ["x-role: a", "x-role: b"]);
    }

    fn facts(target: &PathAndQuery) -> Facts<'_> {
        Facts {
            target,
            scheme: "https",
            peer: ([192, 0, 2, 1], 4000).into(),
            local: ([192, 0, 2, 100], 443).into(),
            server_name: None,
            body: None,
        }
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let lines = headers.iter();
        lines
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect()
    }
}
