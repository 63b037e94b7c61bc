//! The sentences of `HTTPCORSFilter`.

use std::time::Duration;

use super::*;

/// "`*` is a greedy match to the left, including any number of DNS labels"; "if not included, port 80 is assumed for
/// http scheme origins, and port 443 is assumed for https origins".
#[test]
fn origins_match_by_scheme_host_and_port() {
    let wildcard = |scheme: &str, suffix: &str| OriginPattern::Wildcard {
        scheme: scheme.to_owned(),
        suffix: suffix.to_owned(),
    };
    let exact = |text: &str| OriginPattern::Exact(text.to_owned());
    for (pattern, origin, allowed) in [
        (exact("https://a.b"), "https://a.b", true),
        (exact("https://a.b"), "https://A.b:443", true),
        (exact("https://a.b:8443"), "https://a.b:8443", true),
        (exact("https://a.b"), "https://a.b:8443", false),
        (exact("https://a.b"), "http://a.b", false),
        (exact("https://a.b"), "https://evil-a.b", false),
        (wildcard("https://", ".b.c"), "https://x.y.b.c", true),
        (wildcard("https://", ".b.c"), "https://b.c", false),
        (wildcard("https://", ".b.c"), "https://xb.c", false),
        (wildcard("https://", ".b.c"), "http://x.b.c", false),
        (wildcard("http://", ".b.c:81"), "http://x.b.c:81", true),
        (wildcard("http://", ""), "http://anything", true),
        (OriginPattern::Any, "null", true),
        (exact("https://a.b"), "null", false),
    ] {
        let policy = policy(&pattern, Credentials::Withheld);
        let answer = policy.verdict(&asks(&[("origin", origin)]));
        let echoed = answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        let expected = allowed.then(|| HeaderValue::try_from(origin).expect("text"));
        assert_eq!(echoed, expected.as_ref(), "{pattern:?} {origin}");
    }
}

/// "the gateway must not return `*`" where credentials are allowed.
#[test]
fn with_credentials_what_is_asked_for_is_repeated_instead_of_a_wildcard() {
    let asked = [
        ("origin", "https://a.b"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-1, x-2"),
    ];
    for (credentials, methods, headers, exposed) in [
        (Credentials::Allowed, "PUT", "x-1, x-2", None),
        (Credentials::Withheld, "*", "*", Some("*")),
    ] {
        let mut cors = cors(&OriginPattern::Any, credentials);
        cors.allow_methods = Listing::Any;
        cors.allow_headers = Listing::Any;
        cors.expose_headers = Listing::Any;
        let answer = CorsPolicy::new(&cors).preflight(&options(&asked));
        let answer = answer.expect("a preflight request");
        let value = |name: &str| answer.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(value("access-control-allow-origin"), Some("https://a.b"));
        assert_eq!(value("access-control-allow-methods"), Some(methods));
        assert_eq!(value("access-control-allow-headers"), Some(headers));
        assert_eq!(value("access-control-expose-headers"), exposed);
        assert_eq!(value("access-control-max-age"), Some("5"));
        let credentials = (credentials == Credentials::Allowed).then_some("true");
        assert_eq!(value("access-control-allow-credentials"), credentials);
    }
}

#[test]
fn an_origin_that_is_not_allowed_learns_nothing_of_the_policy() {
    let policy = policy(
        &OriginPattern::Exact("https://a.b".to_owned()),
        Credentials::Allowed,
    );
    let asked = [
        ("origin", "https://evil"),
        ("access-control-request-method", "PUT"),
    ];
    let answer = policy.preflight(&options(&asked)).expect("a preflight");
    let names: Vec<&str> = answer.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["vary"]);
}

#[test]
fn only_options_with_an_origin_and_a_method_is_a_preflight() {
    let policy = policy(&OriginPattern::Any, Credentials::Withheld);
    assert!(policy.preflight(&options(&[("origin", "x")])).is_none());
    let no_origin = [("access-control-request-method", "PUT")];
    assert!(policy.preflight(&options(&no_origin)).is_none());
}

#[test]
fn what_endpoints_say_of_origins_is_replaced() {
    let policy = policy(
        &OriginPattern::Exact("https://a.b".to_owned()),
        Credentials::Withheld,
    );
    let mut response = asks(&[("access-control-allow-origin", "*"), ("vary", "accept")]);
    let request = asks(&[("origin", "https://evil")]);
    policy.verdict(&request).write(&mut response);
    assert_eq!(response, asks(&[("vary", "accept"), ("vary", "origin")]));
}

fn policy(pattern: &OriginPattern, credentials: Credentials) -> CorsPolicy {
    CorsPolicy::new(&cors(pattern, credentials))
}

fn cors(pattern: &OriginPattern, credentials: Credentials) -> Cors {
    Cors {
        allow_origins: vec![pattern.clone()],
        allow_credentials: credentials,
        max_age: Duration::from_secs(5),
        ..Cors::default()
    }
}

fn asks(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().expect("a value"));
    }
    headers
}

fn options(lines: &[(&'static str, &str)]) -> Parts {
    let mut request = http::Request::options("/").body(()).expect("a request");
    *request.headers_mut() = asks(lines);
    request.into_parts().0
}
