//! Deadlines, limits, and the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::client::{Answer, Http1, Http2, get, get_once, pod};
use crate::config::{plain, set};
use crate::pods::Pod;
use crate::rig::{PATIENCE, Rig, address, eventually};

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_at_its_deadline() {
    let pod = Pod::echo("a").await;
    let address = address();
    let mut snapshot = plain(address, &[pod.address]);
    set(&mut snapshot, |it| {
        it.header_timeout = Duration::from_millis(300)
    });
    let rig = Rig::start(snapshot).await;

    let started = Instant::now();
    let mut slow = TcpStream::connect(address).await.expect("a connection");
    let mut silent = TcpStream::connect(address).await.expect("a connection");
    slow.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n")
        .await
        .expect("the start");
    let mut ended = false;
    for _ in 0..200 {
        // Each byte is progress, which must not put off the deadline.
        ended = slow.write_all(b"x").await.is_err();
        let mut byte = [0];
        if ended
            || timeout(Duration::from_millis(20), slow.read(&mut byte))
                .await
                .is_ok()
        {
            ended = true;
            break;
        }
    }
    assert!(
        ended && started.elapsed() >= Duration::from_millis(250),
        "{:?}",
        started.elapsed()
    );
    ends(&mut silent).await;
    assert_eq!(rig.metric("proxy_connections_timed_out_total"), 2);
    assert_eq!(pod.requests(), 0);
}

#[tokio::test]
async fn an_idle_connection_closes_and_a_busy_one_does_not() {
    let gate = Arc::new(Semaphore::new(0));
    let slow = Pod::gated("slow", Arc::clone(&gate)).await;
    let address = address();
    let mut snapshot = plain(address, &[slow.address]);
    set(&mut snapshot, |it| {
        it.idle_timeout = Duration::from_millis(500)
    });
    set(&mut snapshot, |it| {
        it.header_timeout = Duration::from_millis(500)
    });
    let rig = Rig::start(snapshot).await;

    let busy = tokio::spawn(async move { get_once(address, "h", "/").await });
    eventually("the request is at the pod", || slow.requests() == 1).await;
    let mut idle = TcpStream::connect(address).await.expect("a connection");
    ends(&mut idle).await;
    gate.add_permits(1);
    assert_eq!(pod(&busy.await.expect("an answer")), "slow");

    gate.add_permits(1);
    let mut client = Http1::connect(address).await;
    assert_eq!(client.get("h", "/").await.status(), 200);
    eventually("all idle connections close", || {
        rig.metric("proxy_connections ") == 0
    })
    .await;
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_begin_is_cut_off() {
    let address = address();
    let https =
        crate::config::listener("https", "*").certificate(&crate::config::certificate(&["a.test"]));
    let mut snapshot =
        crate::config::site(address, gateway_ir::PortProtocol::Tls, vec![https.build()]);
    set(&mut snapshot, |it| {
        it.tls_handshake_timeout = Duration::from_millis(100)
    });
    let rig = Rig::start(snapshot).await;

    let mut silent = TcpStream::connect(address).await.expect("a connection");
    ends(&mut silent).await;
    assert_eq!(rig.metric("proxy_connections_timed_out_total"), 1);
}

#[tokio::test]
async fn connections_above_the_limit_are_answered_503_and_counted() {
    let pod = Pod::echo("a").await;
    let address = address();
    let mut snapshot = plain(address, &[pod.address]);
    snapshot.proxy.connections_max = 1;
    let rig = Rig::start(snapshot).await;

    let mut open = Vec::new();
    let mut refused = 0;
    // Two workers with one connection each; the kernel spreads by the client's port.
    while refused == 0 || open.len() < 2 {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .await
            .expect("the request");
        let mut answer = [0; 12];
        match stream.read_exact(&mut answer).await {
            Ok(_) if &answer == b"HTTP/1.1 200" => open.push(stream),
            Ok(_) => {
                assert_eq!(&answer, b"HTTP/1.1 503");
                refused += 1;
            }
            // The request met a closed socket before the answer was read.
            Err(_) => refused += 1,
        }
    }
    assert_eq!(rig.metric("proxy_connections_refused_total"), refused);
    assert_eq!(rig.metric("proxy_connections "), 2);
}

#[tokio::test]
async fn draining_finishes_requests_in_flight_and_accepts_no_new_ones() {
    let gate = Arc::new(Semaphore::new(0));
    let slow = Pod::gated("slow", Arc::clone(&gate)).await;
    let address = address();
    let rig = Rig::start(plain(address, &[slow.address])).await;
    let http1 = tokio::spawn(async move { get_once(address, "h", "/").await });
    let mut client = Http2::connect(address).await;
    let http2 = tokio::spawn(async move {
        let request = http::Request::get("http://h/").body(Default::default());
        client.send(request.expect("a request")).await
    });
    eventually("both requests are at the pod", || slow.requests() == 2).await;

    let drained = tokio::spawn(rig.proxy.drain());
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("the socket closes");
    assert!(!drained.is_finished());
    gate.add_permits(2);

    let answer = http1.await.expect("an answer");
    assert_eq!((answer.status().as_u16(), pod(&answer)), (200, "slow"));
    assert_eq!(
        answer
            .headers()
            .get("connection")
            .map(|value| value.as_bytes()),
        Some(&b"close"[..])
    );
    assert_eq!(pod(&http2.await.expect("an answer")), "slow");
    timeout(PATIENCE, drained)
        .await
        .expect("the proxy ends")
        .expect("no panic");
}

#[tokio::test]
async fn draining_ends_at_its_deadline_whatever_requests_do() {
    let never = Pod::gated("never", Arc::new(Semaphore::new(0))).await;
    let address = address();
    let mut snapshot = plain(address, &[never.address]);
    snapshot.proxy.drain_timeout = Duration::from_millis(100);
    let rig = Rig::start(snapshot).await;
    let mut client = Http1::connect(address).await;
    let stuck = tokio::spawn(async move { client.try_send(get("h", "/")).await });
    eventually("the request is at the pod", || never.requests() == 1).await;

    timeout(PATIENCE, rig.proxy.drain())
        .await
        .expect("the proxy ends");
    assert!(stuck.await.expect("no panic").is_err());
}

#[tokio::test]
async fn winding_down_ends_each_connection_with_an_answer_and_takes_new_ones() {
    let gate = Arc::new(Semaphore::new(2));
    let slow = Pod::gated("slow", Arc::clone(&gate)).await;
    let address = address();
    let rig = Rig::with_workers(1, plain(address, &[slow.address])).await;
    let mut idle = Http1::connect(address).await;
    assert_eq!(closing(&idle.get("h", "/").await), None);
    let mut idle_streams = Http2::connect(address).await;
    assert_eq!(pod(&idle_streams.get("h", "/").await), "slow");
    let busy = tokio::spawn(async move { get_once(address, "h", "/").await });
    let mut streams = Http2::connect(address).await;
    let stream = tokio::spawn(async move { streams.get("h", "/").await });
    eventually("both requests are at the pod", || slow.requests() == 4).await;

    let wound_down = tokio::spawn(rig.proxy.wind_down(PATIENCE));
    // HTTP/2 needs no answer to be told.
    timeout(PATIENCE, idle_streams.closes())
        .await
        .expect("a farewell");
    gate.add_permits(5);
    assert_eq!(closing(&idle.get("h", "/").await), Some("close"));
    assert_eq!(closing(&busy.await.expect("an answer")), Some("close"));
    assert_eq!(pod(&stream.await.expect("an answer")), "slow");
    let mut new = Http2::connect(address).await;
    assert_eq!(pod(&new.get("h", "/").await), "slow");
    assert_eq!(closing(&get_once(address, "h", "/").await), Some("close"));

    timeout(PATIENCE, wound_down)
        .await
        .expect("all connections end")
        .expect("no panic");
    timeout(PATIENCE, rig.proxy.turn_away())
        .await
        .expect("nobody is left");
    rig.end().await;
}

#[tokio::test]
async fn winding_down_closes_idle_connections_and_ends_in_time_with_busy_ones() {
    let never = Pod::gated("never", Arc::new(Semaphore::new(0))).await;
    let address = address();
    let rig = Rig::start(plain(address, &[never.address])).await;
    let mut idle = TcpStream::connect(address).await.expect("a connection");
    let mut client = Http1::connect(address).await;
    let stuck = tokio::spawn(async move { client.try_send(get("h", "/")).await });
    eventually("the request is at the pod", || never.requests() == 1).await;

    let wound_down = tokio::spawn(rig.proxy.wind_down(Duration::from_millis(1500)));
    ends(&mut idle).await;
    assert!(!wound_down.is_finished() && !stuck.is_finished());
    timeout(PATIENCE, wound_down)
        .await
        .expect("it ends")
        .expect("no panic");
    // Nothing is left of the drain timeout.
    timeout(PATIENCE, rig.proxy.drain())
        .await
        .expect("the proxy ends");
    assert!(stuck.await.expect("no panic").is_err());
}

/// What an answer says of its connection.
fn closing(answer: &Answer) -> Option<&str> {
    let value = answer.headers().get("connection");
    value.map(|value| value.to_str().expect("text"))
}

/// Waits until the proxy has closed a connection without a word.
async fn ends(stream: &mut TcpStream) {
    let read = timeout(PATIENCE, stream.read(&mut [0])).await;
    // A reset is an end too.
    assert_eq!(read.expect("the end comes in time").unwrap_or(0), 0);
}
