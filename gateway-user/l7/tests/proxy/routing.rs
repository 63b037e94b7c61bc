//! Which pod answers.

use gateway_ir::PortProtocol;
use http::Request;

use crate::client::{Http1, Http2, get, get_once, pod};
use crate::config::{listener, plain, rule, site};
use crate::pods::Pod;
use crate::rig::{Rig, address};

#[tokio::test]
async fn requests_reach_pods_by_host_path_and_header() {
    let (a, b, c) = (
        Pod::echo("a").await,
        Pod::echo("b").await,
        Pod::echo("c").await,
    );
    let address = address();
    let shop = vec![
        rule("/api").to("b", 1, &[b.address]),
        rule("/api")
            .when_header("x-version", "2")
            .to("c", 1, &[c.address]),
        rule("/").to("a", 1, &[a.address]),
    ];
    let http = listener("http", "*").host("shop.test", shop).build();
    let _rig = Rig::start(site(address, PortProtocol::Http, vec![http])).await;

    let mut client = Http1::connect(address).await;
    for (host, path, version, expected) in [
        ("shop.test", "/", "1", "a"),
        ("SHOP.test.", "/x", "1", "a"),
        ("shop.test:8080", "/api", "1", "b"),
        ("shop.test", "/api/x?y=1", "1", "b"),
        ("shop.test", "/apix", "1", "a"),
        ("shop.test", "/x/../api", "1", "b"),
        ("shop.test", "/api", "2", "c"),
        ("other.test", "/", "1", ""),
    ] {
        let mut request = get(host, path);
        request
            .headers_mut()
            .insert("x-version", version.parse().expect("text"));
        let answer = client.send(request).await;
        assert_eq!(pod(&answer), expected, "{host} {path}");
        let status = if expected.is_empty() { 404 } else { 200 };
        assert_eq!(answer.status(), status, "{host} {path}");
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_routed_like_http1() {
    let a = Pod::echo("a").await;
    let address = address();
    let _rig = Rig::start(plain(address, &[a.address])).await;

    let mut client = Http2::connect(address).await;
    let request = Request::post("http://shop.test/x?y=1").body("hello".into());
    let answer = client.send(request.expect("a request")).await;

    assert_eq!((answer.status().as_u16(), pod(&answer)), (200, "a"));
    let body = answer.body();
    assert!(body.starts_with("POST /x?y=1 HTTP/1.1\n"), "{body}");
    assert!(body.contains("\nhost: shop.test\n"), "{body}");
    assert!(body.ends_with("\n\nhello"), "{body}");
}

/// Gateway API, listener isolation: "requests SHOULD match at most one Listener within a Gateway."
#[tokio::test]
async fn a_request_stays_with_the_most_specific_listener_and_falls_through_its_hosts() {
    let (wide, narrow, exact) = (
        Pod::echo("wide").await,
        Pod::echo("narrow").await,
        Pod::echo("exact").await,
    );
    let address = address();
    let narrow_hosts = listener("narrow", "*.a.test")
        .host(
            "*.a.test",
            vec![rule("/x").to("narrow", 1, &[narrow.address])],
        )
        .host(
            "b.a.test",
            vec![rule("/y").to("exact", 1, &[exact.address])],
        );
    let wide_hosts =
        listener("wide", "*").host("*", vec![rule("/").to("wide", 1, &[wide.address])]);
    let listeners = vec![narrow_hosts.build(), wide_hosts.build()];
    let rig = Rig::start(site(address, PortProtocol::Http, listeners)).await;

    for (host, path, expected) in [
        ("b.a.test", "/y", "exact"),
        ("b.a.test", "/x", "narrow"),
        ("b.a.test", "/z", ""),
        ("c.a.test", "/y", ""),
        ("a.test", "/z", "wide"),
    ] {
        let answer = get_once(address, host, path).await;
        assert_eq!(pod(&answer), expected, "{host} {path}");
    }
    let refused = r#"proxy_requests_total{gateway="default/gateway",listener="narrow",method="GET",code="4xx"}"#;
    assert_eq!(rig.metric(refused), 2);
}

/// Gateway API, `HTTPBackendRef`: an invalid reference answers 500 in its share; `HTTPRouteRule.backendRefs`: no
/// backend at all answers 500, and a Service without endpoints 503.
#[tokio::test]
async fn rules_without_a_usable_backend_answer_500_or_503() {
    let a = Pod::echo("a").await;
    let address = address();
    let rules = vec![
        rule("/none"),
        rule("/zero").to("a", 0, &[a.address]),
        rule("/invalid").nowhere(1),
        rule("/empty").to("empty", 1, &[]),
        rule("/half").nowhere(1).to("a", 1, &[a.address]),
    ];
    let http = listener("http", "*").host("*", rules).build();
    let _rig = Rig::start(site(address, PortProtocol::Http, vec![http])).await;

    let mut client = Http1::connect(address).await;
    for (path, expected) in [
        ("/none", 500),
        ("/zero", 500),
        ("/invalid", 500),
        ("/empty", 503),
    ] {
        assert_eq!(client.get("h", path).await.status(), expected, "{path}");
    }
    let mut failed = 0;
    for _ in 0..200 {
        failed += usize::from(client.get("h", "/half").await.status() == 500);
    }
    assert!((60..=140).contains(&failed), "{failed} of 200");
}

#[tokio::test]
async fn a_weighted_split_is_proportional_over_a_thousand_requests() {
    let (stable, canary) = (Pod::echo("stable").await, Pod::echo("canary").await);
    let address = address();
    let split = rule("/")
        .to("stable", 90, &[stable.address])
        .to("canary", 10, &[canary.address]);
    let http = listener("http", "*").host("*", vec![split]).build();
    let _rig = Rig::start(site(address, PortProtocol::Http, vec![http])).await;

    let mut client = Http1::connect(address).await;
    for _ in 0..1_000 {
        assert_eq!(client.get("h", "/").await.status(), 200);
    }
    // Five standard deviations of a draw of 1,000 at 10 %.
    assert!(
        (53..=147).contains(&canary.requests()),
        "{}",
        canary.requests()
    );
    assert_eq!(stable.requests() + canary.requests(), 1_000);
}
