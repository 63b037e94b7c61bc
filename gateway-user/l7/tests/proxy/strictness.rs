//! One reading of every request: what others may read differently is refused.

use crate::client::{exchange, status};
use crate::config::{plain, set};
use crate::pods::Pod;
use crate::rig::{Rig, address};

/// What is wrong, the request line, the lines after it, the status.
type Case<'a> = (&'a str, &'a str, &'a str, u16);

#[tokio::test]
async fn a_request_for_an_ambiguous_host_or_path_is_refused() {
    assert_refused(&[
        ("no Host", "GET /", "", 400),
        ("two Hosts", "GET /", "Host: h\r\nHost: i\r\n", 400),
        ("Host and target", "GET http://h/", "Host: i\r\n", 400),
        ("user information", "GET /", "Host: u@h\r\n", 400),
        ("percent-encoding", "GET /%zz", "Host: h\r\n", 400),
        ("hidden slash", "GET /a%2Fb", "Host: h\r\n", 400),
        ("hidden backslash", "GET /a%5cb", "Host: h\r\n", 400),
        ("hidden NUL", "GET /a%00", "Host: h\r\n", 400),
        ("tunnel", "CONNECT h:80", "Host: h:80\r\n", 501),
    ])
    .await;
}

#[tokio::test]
async fn a_malformed_header_is_refused() {
    assert_refused(&[
        ("underscore", "GET /", "Host: h\r\na_b: 1\r\n", 400),
        ("space before colon", "GET /", "Host : h\r\n", 400),
        ("folded line", "GET /", "Host: h\r\n a: b\r\n", 400),
        ("control character", "GET /", "Host: h\r\na: \x01\r\n", 400),
    ])
    .await;
}

/// RFC 9112 §6: a message has one length; whoever reads another one reads another request after it.
#[tokio::test]
async fn a_message_framed_in_two_ways_is_refused() {
    let length = "Content-Length: 3\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_refused(&[
        ("sign", "POST /", "Host: h\r\nContent-Length: +3\r\n", 400),
        (
            "two lengths",
            "POST /",
            &format!("Host: h\r\n{length}Content-Length: 4\r\n"),
            400,
        ),
        (
            "coding, then length",
            "POST /",
            &format!("Host: h\r\n{chunked}{length}"),
            400,
        ),
        (
            "length, then coding",
            "POST /",
            &format!("{length}Host: h\r\n{chunked}"),
            400,
        ),
        (
            "other coding",
            "POST /",
            "Host: h\r\nTransfer-Encoding: gzip, chunked\r\n",
            501,
        ),
    ])
    .await;
}

#[tokio::test]
async fn heads_beyond_their_limits_are_refused() {
    let long = format!("GET /{}", "a".repeat(9_000));
    let longer = format!("GET /{}", "a".repeat(66_000));
    let large = format!("Host: h\r\nx: {}\r\n", "a".repeat(40_000));
    assert_refused(&[
        ("long target", &long, "Host: h\r\n", 414),
        (
            "target above the engine's limit",
            &longer,
            "Host: h\r\n",
            414,
        ),
        ("large head", "GET /", &large, 431),
    ])
    .await;
}

#[tokio::test]
async fn each_port_has_limits_of_its_own() {
    let pod = Pod::echo("a").await;
    let (small, large) = (address(), address());
    let mut snapshot = plain(small, &[pod.address]);
    set(&mut snapshot, |it| it.path_bytes_max = 64);
    snapshot.http.extend(plain(large, &[pod.address]).http);
    let _rig = Rig::start(snapshot).await;

    let path = "a".repeat(100);
    let request = format!("GET /{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    for (address, expected) in [(small, 414), (large, 200)] {
        let raw = exchange(address, request.as_bytes()).await;
        assert_eq!(status(&raw), expected, "{raw}");
    }
}

#[tokio::test]
async fn what_follows_a_refused_message_is_no_request() {
    let pod = Pod::echo("a").await;
    let address = address();
    let _rig = Rig::start(plain(address, &[pod.address])).await;

    let smuggled = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
                    GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let raw = exchange(address, smuggled.as_bytes()).await;
    assert_eq!(raw.matches("HTTP/1.1 ").count(), 1, "{raw}");
    assert_eq!(pod.requests(), 0);
}

async fn assert_refused(cases: &[Case<'_>]) {
    let pod = Pod::echo("a").await;
    let address = address();
    let _rig = Rig::start(plain(address, &[pod.address])).await;
    for (what, line, headers, expected) in cases {
        let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
        let raw = exchange(address, request.as_bytes()).await;
        assert_eq!(status(&raw), *expected, "{what}: {raw}");
    }
    assert_eq!(pod.requests(), 0);
}
