//! WebSocket connections. The handshake is HTTP; what follows is bytes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::config::{plain, set};
use crate::rig::{PATIENCE, Rig, address};

const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Key: k\r\n\r\n";

#[tokio::test]
async fn a_websocket_lasts_through_snapshots_and_ends_with_the_drain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = address();
    let mut snapshot = plain(address, &[listener.local_addr().expect("an address")]);
    set(&mut snapshot, |it| {
        it.idle_timeout = Duration::from_millis(100)
    });
    snapshot.proxy.drain_timeout = Duration::from_millis(300);
    let rig = Rig::start(snapshot).await;
    let pod = tokio::spawn(chat(listener));

    let mut client = TcpStream::connect(address).await.expect("a connection");
    client.write_all(REQUEST).await.expect("the request");
    let head = read_head(&mut client).await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-accept: a\r\n"), "{head}");

    client.write_all(b"ping").await.expect("a message");
    assert_eq!(read(&mut client).await, "PING");
    rig.publish(plain(address, &[])).await;
    // Longer than an idle connection may live: this one is not idle but in use.
    tokio::time::sleep(Duration::from_millis(400)).await;
    client.write_all(b"still").await.expect("a message");
    assert_eq!(read(&mut client).await, "STILL");
    drop(client);
    let request = pod.await.expect("the pod");
    assert!(request.contains("sec-websocket-key: k\r\n"), "{request}");
    assert!(
        request.contains("x-forwarded-for: 127.0.0.1\r\n"),
        "{request}"
    );
    timeout(PATIENCE, rig.proxy.drain())
        .await
        .expect("the proxy ends");
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_upgrade_answers_with_http() {
    let pod = crate::pods::Pod::echo("a").await;
    let address = address();
    let _rig = Rig::start(plain(address, &[pod.address])).await;

    let mut client = TcpStream::connect(address).await.expect("a connection");
    client.write_all(REQUEST).await.expect("the request");
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test]
async fn an_endpoint_that_switches_unasked_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = address();
    let _rig = Rig::start(plain(
        address,
        &[listener.local_addr().expect("an address")],
    ))
    .await;
    let pod = tokio::spawn(chat(listener));

    let answer = crate::client::get_once(address, "h", "/").await;
    assert_eq!(answer.status(), 502);
    pod.abort();
}

/// Accepts one connection, agrees to WebSocket, and shouts back what it hears; gives the head of the request.
async fn chat(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let request = read_head(&mut stream).await;
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-accept: a\r\n\r\n";
    stream
        .write_all(answer.as_bytes())
        .await
        .expect("the answer");
    let mut message = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut message).await {
        let mut heard = message;
        heard.make_ascii_uppercase();
        let heard = heard.get(..length).expect("as long as what was read");
        stream.write_all(heard).await.expect("the echo");
    }
    request
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8())
            .await
            .expect("a head in time");
        head.push(byte.expect("a byte"));
    }
    String::from_utf8(head).expect("text")
}

async fn read(stream: &mut TcpStream) -> String {
    let mut message = [0; 64];
    let length = timeout(PATIENCE, stream.read(&mut message)).await;
    let length = length.expect("a message in time").expect("a message");
    String::from_utf8_lossy(message.get(..length).expect("what was read")).into_owned()
}
