//! Authorization by servers (Gateway API, `HTTPExternalAuthFilter`), and servers that misbehave: "If there is any problem
//! communicating with the external service, this filter MUST fail closed."

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gateway_ir::{
    AuthProtocol, Backend, BackendProtocol, Cors, ExternalAuth, Filter, HeaderEdits,
    InvalidBackend, Listing, OriginPattern, Redirect, Snapshot, Target,
};
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio::net::TcpListener;

use crate::client::{self, Http1, Http2, get_once};
use crate::config::{backend, rule, serving, set};
use crate::pods::Pod;
use crate::rig::{Rig, address};

/// "each backend must respond with a `200` status code in on a successful authorization. Any other code is considered an
/// authorization failure."
#[tokio::test]
async fn what_is_authorized_goes_on_and_what_is_not_gets_the_servers_answer() {
    let (pod, server) = (Pod::echo("a").await, doorkeeper().await);
    let address = address();
    let filter = over_http(server.address, 0);
    let _rig = Rig::start(guarded(address, &pod, filter)).await;

    let mut client = Http1::connect(address).await;
    let answer = client.send(with_token("ann", "/x?q=1")).await;
    assert_eq!(answer.status(), 200);
    let body = answer.body();
    assert!(body.starts_with("GET /x?q=1 HTTP/1.1\n"), "{body}");
    for line in ["x-user: ann\n", "x-asked: GET /check/x?q=1\n"] {
        assert!(body.contains(line), "{body}");
    }
    let denied = client.get("shop.test", "/").await;
    assert_eq!(denied.status(), 401);
    assert_eq!(denied.headers()["www-authenticate"], "Bearer");
    assert_eq!(denied.body(), "who are you?");
    for (token, expected) in [("login", 302), ("empty", 403), ("broken", 503)] {
        let answer = client.send(with_token(token, "/")).await;
        assert_eq!(answer.status(), expected, "{token}");
        assert_eq!(answer.headers().contains_key("location"), expected == 302);
    }
    assert_eq!((pod.requests(), server.requests()), (1, 5));
}

/// "buffer the request body up to `forwardBody.maxSize` bytes. Bodies over that size must be rejected with a 4xx series
/// error"; "If unset, or `forwardBody.maxSize` is set to `0`, then the body will not be forwarded."
#[tokio::test]
async fn the_server_sees_a_body_up_to_its_limit_and_the_endpoint_gets_it_whole() {
    let (pod, server) = (Pod::echo("a").await, doorkeeper().await);
    for (limit, length, expected, seen) in [
        (1_000, 1_000, 200, 1_000),
        (1_000, 1_001, 413, 0),
        (0, 100_000, 200, 0),
    ] {
        let address = address();
        let filter = over_http(server.address, limit);
        let _rig = Rig::start(guarded(address, &pod, filter)).await;
        let body = "x".repeat(length);
        for framing in [Framing::Length, Framing::Chunks] {
            let answer = post(address, &body, framing).await;
            assert_eq!(
                client::status(&answer),
                expected,
                "{limit} {length} {answer}"
            );
            if expected == 200 {
                assert!(
                    answer.contains(&format!("\nx-length: {seen}\n")),
                    "{answer}"
                );
                assert!(answer.ends_with(&format!("\n\n{body}")), "{limit} {length}");
            }
        }
    }
    assert_eq!(pod.requests(), 4);
}

#[tokio::test]
async fn whatever_is_wrong_with_the_server_nothing_goes_on() {
    let pod = Pod::echo("a").await;
    let stuck = Pod::scripted("stuck", vec![(200, Duration::from_secs(60)); 2]).await;
    let silent = Pod::calls(|_| None).await;
    let garbage = Pod::calls(|_| Some(b"\0\0\0\0\x02\xff\xff".to_vec())).await;
    let not_grpc = Pod::h2c("not gRPC").await;
    let resetting = resetting().await;
    let closed = address();
    for filter in [
        over_http(stuck.address, 0),
        over_http(closed, 0),
        over_http(resetting, 0),
        over_http(silent.address, 0),
        over_grpc(silent.address),
        over_grpc(garbage.address),
        over_grpc(not_grpc.address),
        over_grpc(closed),
        over_grpc(resetting),
    ] {
        let address = address();
        let described = format!("{filter:?}");
        let mut snapshot = guarded(address, &pod, filter);
        set(&mut snapshot, |it| {
            it.authorization_timeout = Duration::from_millis(300)
        });
        let rig = Rig::start(snapshot).await;
        let answer = get_once(address, "h", "/").await;
        assert_eq!(answer.status(), 503, "{described}");
        assert_eq!(rig.metric("proxy_authorizations_failed_total"), 1);
    }
    let address = address();
    let mut nowhere = over_http(closed, 0);
    if let Filter::ExternalAuth(auth) = &mut nowhere {
        auth.target = Target::Invalid(InvalidBackend::RefNotPermitted);
    }
    let _rig = Rig::start(guarded(address, &pod, nowhere)).await;
    assert_eq!(get_once(address, "h", "/").await.status(), 500);
    assert_eq!(pod.requests(), 0);
}

/// "When this is set to GRPC, each backend must use the Envoy ext_authz protocol".
#[tokio::test]
async fn a_server_that_is_called_edits_what_it_grants_and_words_what_it_denies() {
    let (pod, address) = (Pod::echo("a").await, address());
    let server = Pod::calls(|call| Some(check(call))).await;
    let filter = over_grpc(server.address);
    let _rig = Rig::start(guarded(address, &pod, filter)).await;

    let mut client = Http1::connect(address).await;
    let mut request = with_token("ann", "/x");
    let secret = "secret".parse().expect("text");
    request.headers_mut().insert("x-secret", secret);
    let answer = client.send(request).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.body().contains("x-user: ann\n"), "{answer:?}");
    assert!(!answer.body().contains("x-secret"), "{answer:?}");
    assert_eq!(answer.headers()["x-seen"], "1");

    let denied = client.get("h", "/").await;
    assert_eq!(
        (denied.status().as_u16(), denied.body().as_str()),
        (418, "no tea")
    );
    assert_eq!(denied.headers()["x-why"], "cold");
    let mut call = Request::post("http://h/svc/Method");
    let headers = call.headers_mut().expect("headers");
    headers.insert("content-type", "application/grpc".parse().expect("text"));
    let call = call.body(Full::default()).expect("a request");
    let denied = Http2::connect(address).await.send(call).await;
    assert_eq!(denied.headers()["grpc-status"], "2");
    assert_eq!(pod.requests(), 1);
}

/// `HTTPRouteRule.filters`: "Wherever possible, implementations SHOULD implement filters in the order they are specified."
/// A preflight request has no credentials (Fetch Standard) and is not asked about.
#[tokio::test]
async fn filters_before_an_authorization_come_before_it() {
    let (pod, server, address) = (Pod::echo("a").await, doorkeeper().await, address());
    let auth = || over_http(server.address, 0);
    let redirect = || {
        Filter::RequestRedirect(Redirect {
            scheme: None,
            hostname: Some("new.test".to_owned()),
            path: None,
            port: None,
            status: StatusCode::FOUND,
        })
    };
    let token = Filter::RequestHeaderModifier(HeaderEdits {
        set: vec![crate::config::header("authorization", "ann")],
        ..HeaderEdits::default()
    });
    let cors = Filter::Cors(Cors {
        allow_origins: vec![OriginPattern::Any],
        ..Cors::default()
    });
    let rules = vec![
        rule("/set-then-ask")
            .filter(token.clone())
            .filter(auth())
            .to("a", 1, &[pod.address]),
        rule("/ask-then-set")
            .filter(auth())
            .filter(token)
            .to("a", 1, &[pod.address]),
        rule("/redirect-then-ask").filter(redirect()).filter(auth()),
        rule("/ask-then-redirect").filter(auth()).filter(redirect()),
        rule("/cors")
            .filter(auth())
            .filter(cors)
            .to("a", 1, &[pod.address]),
        rule("/backend")
            .to("a", 1, &[pod.address])
            .backend_filter(auth()),
    ];
    let _rig = Rig::start(serving(address, rules)).await;

    let mut client = Http1::connect(address).await;
    for (path, expected) in [
        ("/set-then-ask", 200),
        ("/ask-then-set", 401),
        ("/redirect-then-ask", 302),
        ("/ask-then-redirect", 401),
        ("/cors", 401),
        ("/backend", 401),
    ] {
        assert_eq!(client.get("h", path).await.status(), expected, "{path}");
    }
    for (path, expected) in [("/ask-then-redirect", 302), ("/backend", 200)] {
        let answer = client.send(with_token("ann", path)).await;
        assert_eq!(answer.status(), expected, "{path}");
    }
    let asked = server.requests();
    let preflight = Request::options("/cors")
        .header("host", "h")
        .header("origin", "https://a.test")
        .header("access-control-request-method", "PUT");
    let preflight = preflight.body(Full::default()).expect("a request");
    assert_eq!(client.send(preflight).await.status(), 204);
    assert_eq!(server.requests(), asked);
    // A script of another origin may read why it is turned away.
    let mut request = client::get("h", "/cors");
    let origin = "https://a.test".parse().expect("text");
    request.headers_mut().insert("origin", origin);
    let denied = client.send(request).await;
    assert_eq!(
        denied.headers()["access-control-allow-origin"],
        "https://a.test"
    );
}

/// Lets in whom it knows by name, and tells the endpoint whom, and how it was asked.
async fn doorkeeper() -> Pod {
    Pod::answering(|question| {
        let (head, body) = question.into_parts();
        let answer = Response::builder();
        let token = head.headers.get("authorization");
        let answer = match token.map(|token| token.as_bytes()) {
            Some(b"ann") => {
                let length = head.headers.get("content-length").cloned();
                let length = length.expect("a length");
                assert_eq!(length, body.len().to_string().as_str());
                answer
                    .header("x-user", "ann")
                    .header("x-length", length)
                    .header("x-asked", format!("{} {}", head.method, head.uri))
            }
            Some(b"login") => answer.status(302).header("location", "/login"),
            Some(b"empty") => answer.status(204),
            Some(b"broken") => answer.status(500),
            Some(_) | None => answer.status(401).header("www-authenticate", "Bearer"),
        };
        let says_nothing = token.is_some_and(|token| token == "empty");
        let text = if says_nothing { "" } else { "who are you?" };
        answer.body(text).expect("an answer")
    })
    .await
}

/// A `CheckResponse`: ann is let in, the others are told that there is no tea.
fn check(call: &Request<Bytes>) -> Vec<u8> {
    assert_eq!(
        call.uri().path(),
        "/envoy.service.auth.v3.Authorization/Check"
    );
    let knows = |text: &[u8]| call.body().windows(text.len()).any(|it| it == text);
    let option = |name: &str, value: &str| {
        let header = [field(1, name.as_bytes()), field(2, value.as_bytes())].concat();
        field(1, &header)
    };
    let message = if knows(b"authorization\x12\x03ann") {
        let granted = [
            field(2, &option("x-user", "ann")),
            field(5, b"x-secret"),
            field(6, &option("x-seen", "1")),
        ];
        [field(1, b""), field(3, &granted.concat())].concat()
    } else {
        let denied = [
            field(1, b"\x08\xa2\x03"),
            field(2, &option("x-why", "cold")),
            field(3, b"no tea"),
        ];
        [field(1, b"\x08\x07"), field(2, &denied.concat())].concat()
    };
    let length = u32::try_from(message.len()).expect("short");
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

/// A field of Protocol Buffers with bytes in it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("short");
    assert!(length < 0x80);
    [&[number << 3 | 2, length][..], bytes].concat()
}

fn over_http(server: SocketAddr, body_bytes_max: u32) -> Filter {
    Filter::ExternalAuth(ExternalAuth {
        target: Target::Backend(backend("auth", &[server]).into()),
        protocol: AuthProtocol::Http {
            path: "/check".to_owned(),
            request_headers: Vec::new(),
            response_headers: Listing::Any,
        },
        body_bytes_max,
    })
}

fn over_grpc(server: SocketAddr) -> Filter {
    let http2 = Backend {
        protocol: BackendProtocol::Http2,
        ..backend("auth", &[server])
    };
    let listed = [header::AUTHORIZATION, HeaderName::from_static("x-secret")];
    Filter::ExternalAuth(ExternalAuth {
        target: Target::Backend(http2.into()),
        protocol: AuthProtocol::Grpc {
            request_headers: Listing::These(listed.to_vec()),
        },
        body_bytes_max: 0,
    })
}

fn guarded(address: SocketAddr, pod: &Pod, filter: Filter) -> Snapshot {
    let rule = rule("/").filter(filter).to("a", 1, &[pod.address]);
    serving(address, vec![rule])
}

fn with_token(token: &str, path: &str) -> Request<Full<Bytes>> {
    let mut request = client::get("shop.test", path);
    let token = token.parse().expect("text");
    request.headers_mut().insert("authorization", token);
    request
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length,
    Chunks,
}

async fn post(address: SocketAddr, body: &str, framing: Framing) -> String {
    let length = body.len();
    let body = match framing {
        Framing::Length => format!("Content-Length: {length}\r\n\r\n{body}"),
        Framing::Chunks => {
            format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
        }
    };
    let head = "POST / HTTP/1.1\r\nHost: h\r\nAuthorization: ann\r\nConnection: close\r\n";
    client::exchange(address, format!("{head}{body}").as_bytes()).await
}

/// Accepts connections and resets them.
async fn resetting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_zero_linger().expect("a socket");
        }
    });
    address
}
