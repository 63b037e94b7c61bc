//! Filters of rules and backendRefs.

use std::time::Duration;

use gateway_ir::{
    Cors, Credentials, Filter, HeaderEdits, Listing, OriginPattern, PathModifier, Redirect, Scheme,
    UrlRewrite,
};
use http::{Method, Request, StatusCode};

use crate::client::{Answer, Http1, get, get_once, pod};
use crate::config::{header, rule, serving};
use crate::pods::Pod;
use crate::rig::{Rig, address};

/// Gateway API, `HTTPRequestRedirectFilter`: status, scheme, host, port and path of `Location`; the query stays.
#[tokio::test]
async fn redirects_answer_without_a_backend() {
    let address = address();
    let rules = vec![
        rule("/old").filter(Filter::RequestRedirect(Redirect {
            hostname: Some("new.test".to_owned()),
            path: Some(PathModifier::ReplacePrefixMatch("/new".to_owned())),
            ..redirect(StatusCode::PERMANENT_REDIRECT)
        })),
        rule("/tls").filter(Filter::RequestRedirect(Redirect {
            scheme: Some(Scheme::Https),
            ..redirect(StatusCode::FOUND)
        })),
    ];
    let _rig = Rig::start(serving(address, rules)).await;

    let port = address.port();
    let answer = get_once(address, "h", "/old/x?q=1").await;
    assert_eq!(answer.status(), 308);
    let expected = format!("http://new.test:{port}/new/x?q=1");
    assert_eq!(value(&answer, "location"), expected);
    assert_eq!(answer.body(), "");
    let answer = get_once(address, "h", "/tls").await;
    assert_eq!(answer.status(), 302);
    assert_eq!(value(&answer, "location"), "https://h/tls");
}

/// Gateway API, `HTTPURLRewriteFilter`: on the rule, and on a backendRef "after the backend is chosen".
#[tokio::test]
async fn endpoints_see_the_rewritten_host_and_path() {
    let (pod, address) = (Pod::echo("a").await, address());
    let full = UrlRewrite {
        hostname: Some("inner.test".to_owned()),
        path: Some(PathModifier::ReplaceFullPath("/one".to_owned())),
    };
    let prefix = UrlRewrite {
        hostname: None,
        path: Some(PathModifier::ReplacePrefixMatch("/".to_owned())),
    };
    let rules = vec![
        rule("/full")
            .filter(Filter::UrlRewrite(full))
            .to("a", 1, &[pod.address]),
        rule("/strip")
            .to("a", 1, &[pod.address])
            .backend_filter(Filter::UrlRewrite(prefix)),
    ];
    let _rig = Rig::start(serving(address, rules)).await;

    let answer = get_once(address, "h", "/full/x?q=1").await;
    let body = answer.body();
    assert!(body.starts_with("GET /one?q=1 HTTP/1.1\n"), "{body}");
    assert!(body.contains("host: inner.test\n"), "{body}");
    let answer = get_once(address, "h", "/strip/x/y?q").await;
    let body = answer.body();
    assert!(body.starts_with("GET /x/y?q HTTP/1.1\n"), "{body}");
    assert!(body.contains("host: h\n"), "{body}");
}

/// Gateway API, `HTTPRouteFilter.responseHeaderModifier` and `HTTPBackendRef.filters`.
#[tokio::test]
async fn headers_are_edited_both_ways_on_rules_and_on_the_chosen_backend() {
    let (a, b, address) = (Pod::echo("a").await, Pod::echo("b").await, address());
    let set = |value: &'static str| HeaderEdits {
        set: vec![header("x-chosen", value)],
        add: vec![header("x-pod", "added")],
        ..HeaderEdits::default()
    };
    let rule = rule("/")
        .filter(Filter::ResponseHeaderModifier(HeaderEdits {
            remove: vec!["x-gone".parse().expect("a name")],
            ..set("rule")
        }))
        .to("a", 1, &[a.address])
        .backend_filter(Filter::RequestHeaderModifier(set("a")))
        .backend_filter(Filter::ResponseHeaderModifier(HeaderEdits {
            set: vec![header("x-gone", "1")],
            ..HeaderEdits::default()
        }))
        .to("b", 1, &[b.address])
        .backend_filter(Filter::RequestHeaderModifier(set("b")));
    let _rig = Rig::start(serving(address, vec![rule])).await;

    let mut client = Http1::connect(address).await;
    for _ in 0..20 {
        let answer = client.get("h", "/").await;
        let chosen = format!("x-chosen: {}\n", pod(&answer));
        assert!(answer.body().contains(&chosen), "{answer:?}");
        assert_eq!(value(&answer, "x-chosen"), "rule");
        let names: Vec<_> = answer.headers().get_all("x-pod").iter().collect();
        assert_eq!((names.len(), names[1].as_bytes()), (2, &b"added"[..]));
        assert!(!answer.headers().contains_key("x-gone"), "{answer:?}");
    }
}

/// Gateway API, `HTTPCORSFilter`: the gateway answers preflight requests; other requests always reach the backend.
#[tokio::test]
async fn preflights_are_answered_here_and_simple_requests_go_on() {
    let (pod, address) = (Pod::echo("a").await, address());
    let cors = Cors {
        allow_origins: vec![OriginPattern::Exact("https://ok.test".to_owned())],
        allow_credentials: Credentials::Allowed,
        allow_methods: Listing::These(vec![Method::GET, Method::PUT]),
        max_age: Duration::from_secs(5),
        ..Cors::default()
    };
    let rule = rule("/")
        .filter(Filter::Cors(cors))
        .to("a", 1, &[pod.address]);
    let _rig = Rig::start(serving(address, vec![rule])).await;

    let mut client = Http1::connect(address).await;
    for (origin, allowed) in [("https://ok.test", true), ("https://evil.test", false)] {
        let preflight = Request::options("/")
            .header("host", "h")
            .header("origin", origin)
            .header("access-control-request-method", "PUT");
        let answer = client
            .send(preflight.body(Default::default()).expect("a request"))
            .await;
        assert_eq!((answer.status().as_u16(), pod.requests()), (204, 0));
        let methods = if allowed { "GET, PUT" } else { "" };
        assert_eq!(value(&answer, "access-control-allow-methods"), methods);
    }
    for (origin, echoed) in [("https://ok.test", "https://ok.test"), ("https://e", "")] {
        let mut request = get("h", "/");
        let origin = origin.parse().expect("text");
        request.headers_mut().insert("origin", origin);
        let answer = client.send(request).await;
        assert_eq!(
            (answer.status().as_u16(), crate::client::pod(&answer)),
            (200, "a")
        );
        assert_eq!(value(&answer, "access-control-allow-origin"), echoed);
    }
}

fn redirect(status: StatusCode) -> Redirect {
    Redirect {
        scheme: None,
        hostname: None,
        path: None,
        port: None,
        status,
    }
}

fn value<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().expect("text"))
}
