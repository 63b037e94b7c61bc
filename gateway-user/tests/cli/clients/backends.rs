//! Backends that misbehave: what their clients get, and that nobody else notices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Client, tcp};
use super::pods::Pod;
use super::site::{below, file, gateway, route, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};

const HOST: &str = "shop.test";
const TIMEOUT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn each_misbehaviour_has_its_status_and_stays_with_its_backend() {
    let pods = misbehaving().await;
    let good = Pod::http1().await;
    let refusing = free_port();
    let mut services: Vec<(&str, Vec<u16>)> = pods
        .iter()
        .map(|(name, _, pod)| (*name, vec![pod.port]))
        .collect();
    services.push(("good", vec![good.port]));
    services.push(("refusing", vec![refusing]));
    services.push(("half", vec![refusing, good.port]));
    let port = free_port();
    let conf = Conf::new();
    conf.write("site.yaml", &site(port, &services));
    let _agent = Agent::start(&conf);

    let mut cases: Vec<(&str, u16)> = pods.iter().map(|(name, it, _)| (*name, *it)).collect();
    cases.extend([("refusing", 503), ("half", 200), ("half", 200)]);
    for mut client in [
        Client::http1(tcp(port).await).await,
        Client::http2(tcp(port).await).await,
    ] {
        for (name, status) in &cases {
            let start = Instant::now();
            let answer = client.get(HOST, &format!("/{name}")).await;
            let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(answer.status(), *status, "{name}: {}", answer.text());
            if *status == 504 {
                assert!(start.elapsed() >= TIMEOUT, "{name}");
            }
            // The client's connection is as good as before.
            let answer = client.get(HOST, "/good").await.expect("an answer");
            assert_eq!(answer.status(), 200, "after {name}");
        }
    }
}

/// Pods with the statuses that their clients get.
async fn misbehaving() -> [(&'static str, u16, Pod); 6] {
    let silent = Pod::start(|stream| async {
        let _stream = stream;
        std::future::pending::<()>().await;
    });
    let resetting = Pod::start(|mut stream| async move {
        if stream.read_u8().await.is_ok() {
            stream.set_zero_linger().expect("an option");
        }
    });
    let closing = Pod::start(|mut stream| async move {
        drop(stream.read_u8().await);
    });
    let babbling = Pod::start(|stream| say(stream, b"SSH-2.0-OpenSSH_9.2\r\n"));
    let twice = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    let smuggling = Pod::start(move |stream| say(stream, twice));
    [
        ("silent", 504, silent.await),
        ("resetting", 502, resetting.await),
        ("closing", 502, closing.await),
        ("babbling", 502, babbling.await),
        ("smuggling", 502, smuggling.await),
        ("endless", 502, Pod::start(flood).await),
    ]
}

/// Each Service behind a path of its name; all but one have all the time.
fn site(port: u16, services: &[(&str, Vec<u16>)]) -> String {
    let rules = services.iter().map(|(name, _)| {
        let mut rule = below(name);
        if *name == "silent" {
            let rule = rule.as_object_mut().expect("a rule");
            rule.insert("timeouts".to_owned(), json!({"request": "300ms"}));
        }
        rule
    });
    let rules: Vec<Value> = rules.collect();
    let listeners = json!([{"name": "web", "port": port, "protocol": "HTTP"}]);
    let mut objects = gateway(listeners, json!({})).to_vec();
    objects.push(route("HTTPRoute", "shop", &[HOST], rules.into()));
    for (name, ports) in services {
        objects.extend(service(name, None, ports));
    }
    file(objects)
}

/// What is promised and does not come must not look like a whole answer.
#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_off_for_the_client() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    let short = Pod::start(move |stream| say(stream, head)).await;
    let chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let unended = Pod::start(move |stream| say(stream, chunks)).await;
    let cancelled = Pod::start(cancel).await;
    let port = free_port();
    let conf = Conf::new();
    let listeners = json!([{"name": "web", "port": port, "protocol": "HTTP"}]);
    let mut objects = gateway(listeners, json!({})).to_vec();
    let rules = json!([below("short"), below("unended"), below("cancelled")]);
    objects.push(route("HTTPRoute", "shop", &[HOST], rules));
    objects.extend(service("short", None, &[short.port]));
    objects.extend(service("unended", None, &[unended.port]));
    let h2c = Some("kubernetes.io/h2c");
    objects.extend(service("cancelled", h2c, &[cancelled.port]));
    conf.write("site.yaml", &file(objects));
    let _agent = Agent::start(&conf);

    for path in ["/short", "/unended", "/cancelled"] {
        let mut client = Client::http1(tcp(port).await).await;
        client.get(HOST, path).await.expect_err("half an answer");
        let mut client = Client::http2(tcp(port).await).await;
        client.get(HOST, path).await.expect_err("half an answer");
        // The stream is reset, and the connection goes on.
        let answer = client.get(HOST, "/nowhere").await.expect("an answer");
        assert_eq!(answer.status(), 404);
    }
}

/// Reads the start of a request, says something and closes.
async fn say(mut stream: TcpStream, bytes: &[u8]) {
    let mut head = [0; 1024];
    if matches!(stream.read(&mut head).await, Ok(1..)) {
        drop(stream.write_all(bytes).await);
        drop(stream.shutdown().await);
        // Not closed before the proxy is done, or what was said might be lost in a reset.
        while matches!(stream.read(&mut head).await, Ok(1..)) {}
    }
}

/// A head that never ends.
async fn flood(mut stream: TcpStream) {
    drop(stream.write_all(b"HTTP/1.1 200 OK\r\n").await);
    let lines = b"x-header: value\r\n".repeat(1024);
    while stream.write_all(&lines).await.is_ok() {}
}

/// Answers each request in HTTP/2 with half a body, and resets the stream as cancelled (RFC 9113 §6.4, §7).
async fn cancel(mut stream: TcpStream) {
    const HEADERS: u8 = 1;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let (mut preface, mut head) = ([0; 24], [0; 9]);
    drop(stream.write_all(&settings).await);
    let mut read = stream.read_exact(&mut preface).await;
    while read.is_ok() {
        read = stream.read_exact(&mut head).await;
        let [_, high, low, kind, _, stream_id @ ..] = head;
        let mut payload = vec![0; u16::from_be_bytes([high, low]).into()];
        read = read.and(stream.read_exact(&mut payload).await);
        if kind != HEADERS {
            continue;
        }
        // `:status: 200` by the static table; four bytes that are not the last; CANCEL.
        for (start, payload) in [
            ([0, 0, 1, 1, 4], &b"\x88"[..]),
            ([0, 0, 4, 0, 0], b"half"),
            ([0, 0, 4, 3, 0], b"\0\0\0\x08"),
        ] {
            let frame = [&start[..], &stream_id, payload].concat();
            drop(stream.write_all(&frame).await);
        }
    }
}
