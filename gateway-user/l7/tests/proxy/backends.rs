//! How endpoints are spoken to: HTTP/2, TLS, gRPC.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use gateway_ir::{Backend, BackendProtocol, BackendTls, SubjectName, Trust};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::client::{self, Http1, get, get_once};
use crate::config::{backend, rule, serving};
use crate::identity::Identity;
use crate::pods::Pod;
use crate::rig::{Rig, address};

/// GEP-1911, `kubernetes.io/h2c`: HTTP/2 with prior knowledge, on connections that requests share.
#[tokio::test]
async fn h2c_endpoints_get_http2_on_shared_connections() {
    let (pod, address) = (Pod::h2c("a").await, address());
    let http2 = Backend {
        protocol: BackendProtocol::Http2,
        ..backend("a", &[pod.address])
    };
    let _rig = Rig::start(serving(address, vec![rule("/").backed_by(1, http2)])).await;

    let mut client = Http1::connect(address).await;
    for _ in 0..10 {
        let answer = client.get("shop.test", "/x?q=1").await;
        assert_eq!((answer.status().as_u16(), client::pod(&answer)), (200, "a"));
        let expected = "GET http://shop.test/x?q=1 HTTP/2.0\n";
        assert!(answer.body().starts_with(expected), "{}", answer.body());
    }
    let post = Request::post("/").header("host", "h").body("hello".into());
    let answer = client.send(post.expect("a request")).await;
    assert!(answer.body().ends_with("\n\nhello"), "{}", answer.body());
    assert_eq!((pod.requests(), pod.connections()), (11, 1));
}

/// gRPC over HTTP/2: `te: trailers` arrives, trailers come back, and refusals are `grpc-status`.
#[tokio::test]
async fn grpc_passes_with_its_trailers_and_refusals_are_grpc_statuses() {
    let (pod, address) = (Pod::grpc("a").await, address());
    let http2 = Backend {
        protocol: BackendProtocol::Http2,
        ..backend("a", &[pod.address])
    };
    let rules = vec![
        rule("/svc").backed_by(1, http2),
        rule("/invalid").nowhere(1),
    ];
    let _rig = Rig::start(serving(address, rules)).await;

    let stream = TcpStream::connect(address).await.expect("a connection");
    let io = TokioIo::new(stream);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io)
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    for (path, pod, status) in [
        ("/svc/Method", "a", "0"),
        ("/other/Method", "", "12"),
        ("/invalid/Method", "", "14"),
    ] {
        let request = Request::post(format!("http://h{path}"))
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .body(Full::new(Bytes::from_static(b"message")));
        let answer = client.send_request(request.expect("a request")).await;
        let (head, body) = answer.expect("an answer").into_parts();
        assert_eq!(head.status, 200, "{path}");
        let name = head
            .headers
            .get("x-pod")
            .map_or("", |name| name.to_str().expect("text"));
        assert_eq!(name, pod, "{path}");
        let body = body.collect().await.expect("the body");
        let trailers = body.trailers().cloned().unwrap_or(head.headers);
        assert_eq!(trailers["grpc-status"], status, "{path}");
        if !pod.is_empty() {
            assert_eq!(trailers["x-te"], "trailers");
            assert_eq!(body.to_bytes(), &b"message"[..]);
        }
    }
}

/// Gateway API, `BackendTLSPolicy`: SNI and verified name are `validation.hostname`; with `subjectAltNames` one of
/// these must be in the certificate; no trust is no connection, never clear text.
#[tokio::test]
async fn endpoints_are_trusted_by_root_and_name_or_not_spoken_to() {
    let server = Identity::new(&["pod.test"], Some("spiffe://cluster/pod"));
    let other = Identity::new(&["pod.test"], None);
    let pod = Pod::tls("a", server.config(None)).await;
    let dns = |name: &str| SubjectName::Dns(name.to_owned());
    let uri = |name: &str| SubjectName::Uri(name.to_owned());
    for (hostname, root, names, expected) in [
        ("pod.test", &server, vec![], 200),
        ("other.test", &server, vec![], 502),
        ("pod.test", &other, vec![], 502),
        ("other.test", &server, vec![dns("pod.test")], 200),
        (
            "pod.test",
            &server,
            vec![dns("x.test"), uri("spiffe://cluster/pod")],
            200,
        ),
        (
            "pod.test",
            &server,
            vec![dns("x.test"), uri("spiffe://cluster/x")],
            502,
        ),
    ] {
        let address = address();
        let policy = BackendTls {
            names: names.clone(),
            ..trusting(hostname, root)
        };
        let _rig = Rig::start(over_tls(address, &pod, policy)).await;
        let answer = get_once(address, "h", "/").await;
        assert_eq!(answer.status(), expected, "{hostname} {names:?}");
        if expected == 200 {
            // ALPN offers HTTP/2, and so it is spoken.
            assert!(answer.body().contains("HTTP/2.0\n"), "{}", answer.body());
        }
    }
}

/// Gateway API, `Gateway.spec.tls.backend.clientCertificateRef`.
#[tokio::test]
async fn the_gateways_certificate_is_shown_to_endpoints_that_ask() {
    let (server, client) = (
        Identity::new(&["pod.test"], None),
        Identity::new(&["gateway.test"], None),
    );
    let pod = Pod::tls("a", server.config(Some(&client))).await;
    for (own, expected) in [(Some(client.certificate()), 200), (None, 502)] {
        let address = address();
        let policy = BackendTls {
            client_certificate: own,
            ..trusting("pod.test", &server)
        };
        let _rig = Rig::start(over_tls(address, &pod, policy)).await;
        assert_eq!(get_once(address, "h", "/").await.status(), expected);
    }
}

#[tokio::test]
async fn a_clear_text_endpoint_is_never_spoken_to_in_clear_text_under_a_policy() {
    let (pod, address) = (Pod::echo("a").await, address());
    let policy = trusting("pod.test", &Identity::new(&["pod.test"], None));
    let _rig = Rig::start(over_tls(address, &pod, policy)).await;

    let mut client = Http1::connect(address).await;
    assert_eq!(client.send(get("h", "/")).await.status(), 502);
    assert_eq!(pod.requests(), 0);
}

fn trusting(hostname: &str, root: &Identity) -> BackendTls {
    BackendTls {
        hostname: hostname.to_owned(),
        trust: Trust::Roots(vec![root.root()]),
        names: Vec::new(),
        client_certificate: None,
    }
}

fn over_tls(address: SocketAddr, pod: &Pod, policy: BackendTls) -> gateway_ir::Snapshot {
    let backend = Backend {
        tls: Some(Arc::new(policy)),
        ..backend("a", &[pod.address])
    };
    serving(address, vec![rule("/").backed_by(1, backend)])
}
