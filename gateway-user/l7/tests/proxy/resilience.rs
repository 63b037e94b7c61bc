//! Endpoints that misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_ir::Snapshot;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::client::{Http1, get_once, pod};
use crate::config::{plain, set};
use crate::pods::Pod;
use crate::rig::{Rig, address, eventually};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_request_on_a_connection_that_died_idle_is_sent_again() {
    let (address, listener) = (
        address(),
        TcpListener::bind("127.0.0.1:0").await.expect("a socket"),
    );
    let endpoint = listener.local_addr().expect("an address");
    let pod = tokio::spawn(async move {
        // The first connection dies at its second request, without a byte of an answer.
        let mut first = accept(&listener).await;
        read_head(&mut first).await;
        first.write_all(OK).await.expect("the answer");
        read_head(&mut first).await;
        drop(first);
        let mut second = accept(&listener).await;
        read_head(&mut second).await;
        second.write_all(OK).await.expect("the answer");
        second
    });
    let rig = Rig::start(plain(address, &[endpoint])).await;

    let mut client = Http1::connect(address).await;
    assert_eq!(client.get("h", "/").await.status(), 200);
    assert_eq!(client.get("h", "/").await.status(), 200);
    assert_eq!(rig.metric("proxy_upstream_retries_total"), 1);
    drop(pod.await.expect("the pod"));
}

#[tokio::test]
async fn a_request_that_may_have_had_an_effect_is_not_sent_again() {
    let (address, listener) = (
        address(),
        TcpListener::bind("127.0.0.1:0").await.expect("a socket"),
    );
    let endpoint = listener.local_addr().expect("an address");
    let pod = tokio::spawn(async move {
        let mut first = accept(&listener).await;
        read_head(&mut first).await;
        first.write_all(OK).await.expect("the answer");
        read_head(&mut first).await;
        drop(first);
        listener
    });
    let _rig = Rig::start(plain(address, &[endpoint])).await;

    let mut client = Http1::connect(address).await;
    assert_eq!(client.get("h", "/").await.status(), 200);
    let post = Request::post("/").header("host", "h").body("pay".into());
    assert_eq!(client.send(post.expect("a request")).await.status(), 502);
    drop(pod.await.expect("the pod"));
}

#[tokio::test]
async fn an_endpoint_that_closes_idle_connections_costs_no_request() {
    let (address, listener) = (
        address(),
        TcpListener::bind("127.0.0.1:0").await.expect("a socket"),
    );
    let endpoint = listener.local_addr().expect("an address");
    let pod = tokio::spawn(async move {
        for _ in 0..20 {
            let mut stream = accept(&listener).await;
            read_head(&mut stream).await;
            stream.write_all(OK).await.expect("the answer");
        }
    });
    let _rig = Rig::start(plain(address, &[endpoint])).await;

    let mut client = Http1::connect(address).await;
    for _ in 0..20 {
        let post = Request::post("/").header("host", "h").body("pay".into());
        assert_eq!(client.send(post.expect("a request")).await.status(), 200);
        // Let the end of the connection arrive, as it does for a pod that closes idle connections.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    pod.await.expect("the pod");
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_left_for_another_one() {
    let pod_a = Pod::echo("a").await;
    let address = address();
    let refusing = closed_port().await;
    let rig = Rig::start(plain(address, &[refusing, pod_a.address])).await;

    for _ in 0..30 {
        assert_eq!(pod(&get_once(address, "h", "/").await), "a");
    }
    assert!(rig.metric("proxy_upstream_connect_failures_total") > 0);
}

#[tokio::test]
async fn failures_of_all_endpoints_have_their_own_statuses() {
    let (refused, garbage, silent) = (address(), address(), address());
    let speaks_garbage = answering(b"SSH-2.0-OpenSSH\r\n").await;
    // A full backlog: the kernel completes no further connection.
    let full = TcpSocket::new_v4().expect("a socket");
    full.bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a port");
    let full = full.listen(0).expect("a listener");
    let backlog = full.local_addr().expect("an address");
    let _filler = [TcpStream::connect(backlog).await];
    let mut snapshot = Snapshot {
        http: [
            plain(refused, &[closed_port().await]),
            plain(garbage, &[speaks_garbage]),
            plain(silent, &[backlog]),
        ]
        .into_iter()
        .flat_map(|site| site.http)
        .collect(),
        ..Snapshot::default()
    };
    set(&mut snapshot, |it| {
        it.connect_timeout = Duration::from_millis(200)
    });
    let rig = Rig::start(snapshot).await;

    assert_eq!(get_once(refused, "h", "/").await.status(), 503);
    assert_eq!(get_once(garbage, "h", "/").await.status(), 502);
    assert_eq!(get_once(silent, "h", "/").await.status(), 504);
    assert_eq!(rig.metric("proxy_upstream_connect_timeouts_total"), 1);
    assert_eq!(rig.metric("proxy_upstream_protocol_errors_total"), 1);
}

#[tokio::test]
async fn a_body_that_the_client_breaks_off_is_not_the_endpoints_fault() {
    let pod = Pod::echo("a").await;
    let address = address();
    let rig = Rig::start(plain(address, &[pod.address])).await;

    let mut client = TcpStream::connect(address).await.expect("a connection");
    let start = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
    client.write_all(start).await.expect("the start");
    eventually("the request is at the pod", || pod.requests() == 1).await;
    drop(client);

    let counted = r#"proxy_requests_total{gateway="default/gateway",listener="http",method="POST",code="4xx"}"#;
    eventually("the request is counted", || rig.metric(counted) == 1).await;
    assert_eq!(rig.metric("proxy_upstream_protocol_errors_total"), 0);
    assert_eq!(get_once(address, "h", "/").await.status(), 200);
}

/// An address that refuses connections.
async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    listener.local_addr().expect("an address")
}

/// An endpoint that answers everything with the same bytes.
async fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_head(&mut stream).await;
            stream.write_all(bytes).await.expect("the answer");
        }
    });
    address
}

async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.expect("a connection").0
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a byte"));
    }
}
