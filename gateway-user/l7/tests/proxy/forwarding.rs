//! What endpoints and clients see of each other.

use bytes::Bytes;
use gateway_ir::{HeaderEdits, PortProtocol};
use http::Request;
use http_body_util::Full;

use crate::client::{Http1, exchange, get, get_once};
use crate::config::{header, listener, plain, rule, site};
use crate::pods::Pod;
use crate::rig::{Rig, address};

#[tokio::test]
async fn endpoints_learn_the_clients_address_and_nothing_it_claims() {
    let pod = Pod::echo("a").await;
    let address = address();
    let _rig = Rig::start(plain(address, &[pod.address])).await;

    let raw = exchange(
        address,
        b"GET / HTTP/1.1\r\nHost: Shop.test:80\r\nX-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\n\
          X-Real-IP: 203.0.113.1\r\nForwarded: for=203.0.113.1\r\nConnection: close, x-gone\r\nX-Gone: 1\r\n\
          TE: gzip\r\nUpgrade: h2c\r\n\r\n",
    )
    .await;

    let (_, body) = raw.split_once("\r\n\r\n").expect("a body");
    assert_eq!(
        without_request_id(body),
        format!(
            "GET / HTTP/1.1\nhost: Shop.test:80\nx-forwarded-for: 127.0.0.1\nx-forwarded-host: Shop.test:80\n\
             x-forwarded-port: {}\nx-forwarded-proto: http\nx-real-ip: 127.0.0.1\n\n",
            address.port()
        )
    );
}

#[tokio::test]
async fn the_endpoints_hop_by_hop_headers_do_not_reach_the_client() {
    let pod = Pod::echo("a").await;
    let address = address();
    let _rig = Rig::start(plain(address, &[pod.address])).await;

    let answer = get_once(address, "h", "/").await;
    assert!(answer.headers().contains_key("x-pod"));
    assert!(
        !answer.headers().contains_key("x-hop"),
        "{:?}",
        answer.headers()
    );
}

/// Gateway API, `HTTPHeaderFilter`: set overwrites, add appends, remove removes.
#[tokio::test]
async fn request_headers_are_removed_set_and_added() {
    let pod = Pod::echo("a").await;
    let address = address();
    let edits = HeaderEdits {
        set: vec![header("x-set", "new"), header("content-length", "999")],
        add: vec![header("x-add", "2")],
        remove: vec!["x-remove".parse().expect("a name")],
    };
    let rules = vec![rule("/").edit(edits).to("a", 1, &[pod.address])];
    let http = listener("http", "*").host("*", rules).build();
    let _rig = Rig::start(site(address, PortProtocol::Http, vec![http])).await;

    let mut request = get("h", "/");
    for (name, value) in [("x-set", "old"), ("x-add", "1"), ("x-remove", "1")] {
        request
            .headers_mut()
            .insert(name, value.parse().expect("text"));
    }
    let answer = Http1::connect(address).await.send(request).await;

    let body = answer.body();
    assert!(body.contains("x-add: 1\nx-add: 2\n"), "{body}");
    assert!(
        body.contains("x-set: new\n") && !body.contains("old"),
        "{body}"
    );
    assert!(
        !body.contains("x-remove") && !body.contains("999"),
        "{body}"
    );
}

#[tokio::test]
async fn bodies_arrive_whole_with_a_length_or_in_chunks() {
    let pod = Pod::echo("a").await;
    let address = address();
    let _rig = Rig::start(plain(address, &[pod.address])).await;

    let long = "x".repeat(300_000);
    let request = Request::post("/").header("host", "h");
    let request = request.body(Full::new(Bytes::from(long.clone())));
    let mut client = Http1::connect(address).await;
    let answer = client.send(request.expect("a request")).await;
    assert!(answer.body().ends_with(&format!("\n\n{long}")));

    for method in ["POST", "GET"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n"
        );
        let raw = exchange(address, request.as_bytes()).await;
        assert!(raw.ends_with("\n\nabcde"), "{raw}");
    }
}

#[tokio::test]
async fn answers_without_a_body_keep_their_connections() {
    let pod = Pod::echo("a").await;
    let address = address();
    let _rig = Rig::start(plain(address, &[pod.address])).await;

    let mut client = Http1::connect(address).await;
    for _ in 0..3 {
        let head = Request::head("/").header("host", "h").body(Full::default());
        let answer = client.send(head.expect("a request")).await;
        assert_eq!((answer.status().as_u16(), answer.body().len()), (200, 0));
        assert_ne!(answer.headers()["content-length"], "0");
    }
    assert_eq!((pod.requests(), pod.connections()), (3, 1));
}

#[tokio::test]
async fn connections_to_endpoints_are_used_again() {
    let pod = Pod::echo("a").await;
    let address = address();
    let rig = Rig::start(plain(address, &[pod.address])).await;

    let mut client = Http1::connect(address).await;
    for _ in 0..20 {
        assert_eq!(client.get("h", "/").await.status(), 200);
    }
    assert_eq!((pod.requests(), pod.connections()), (20, 1));
    assert_eq!(rig.metric("proxy_upstream_connections_opened_total"), 1);
    let ok = r#"proxy_requests_total{gateway="default/gateway",listener="http",method="GET",code="2xx"}"#;
    assert_eq!(rig.metric(ok), 20);
}

/// Each request has an identifier of its own.
fn without_request_id(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let (ids, others): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.starts_with("x-request-id: "));
    assert_eq!(ids.len(), 1, "{text}");
    others.concat()
}
