//! Timeouts, retries and mirrors of rules.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_ir::{Filter, Fraction, Mirror, Retry, Target, Timeouts};
use http::{Request, StatusCode};
use http_body_util::Full;

use crate::client::{self, Http1, get_once};
use crate::config::{backend, rule, serving, set};
use crate::pods::Pod;
use crate::rig::{Rig, address, eventually};

const SLOW: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(200);

/// Gateway API, `HTTPRouteTimeouts.request` and `.backendRequest`: 504 when the time is over; without one, none.
#[tokio::test]
async fn a_backend_that_takes_too_long_is_answered_with_504() {
    let request = Timeouts {
        request: Some(SHORT),
        backend_request: None,
    };
    let backend_request = Timeouts {
        request: None,
        backend_request: Some(SHORT),
    };
    let unlimited = Timeouts::default();
    for (timeouts, delay, expected) in [
        (request, SLOW, 504),
        (backend_request, SLOW, 504),
        (request, Duration::ZERO, 200),
        (unlimited, SHORT * 2, 200),
    ] {
        let (pod, address) = (Pod::scripted("a", vec![(200, delay)]).await, address());
        let rule = rule("/").timeouts(timeouts).to("a", 1, &[pod.address]);
        let _rig = Rig::start(serving(address, vec![rule])).await;

        let started = Instant::now();
        let answer = get_once(address, "h", "/").await;
        assert_eq!(answer.status(), expected, "{timeouts:?} {delay:?}");
        assert!(started.elapsed() < SLOW / 2, "{timeouts:?}");
    }
}

/// Gateway API, `HTTPRouteTimeouts.request`: the time ends with the last byte of the response.
#[tokio::test]
async fn a_body_that_takes_too_long_is_cut_off() {
    let (pod, pieces) = Pod::streaming().await;
    let address = address();
    let timeouts = Timeouts {
        request: Some(SHORT),
        backend_request: None,
    };
    let rule = rule("/").timeouts(timeouts).to("a", 1, &[pod.address]);
    let _rig = Rig::start(serving(address, vec![rule])).await;

    pieces.send("first").await.expect("a piece");
    let mut client = Http1::connect(address).await;
    let answer = client.try_send(client::get("h", "/")).await;
    assert!(answer.is_err(), "{answer:?}");
}

/// Gateway API, `HTTPRouteRetry`: the listed codes are tried again up to `attempts` times, then the last answer stands.
#[tokio::test]
async fn listed_codes_are_tried_again_with_the_whole_body() {
    let now = |status| (status, Duration::ZERO);
    for (script, attempts, expected, requests) in [
        (vec![now(500), now(503)], 3, 200, 3),
        (vec![now(500); 4], 3, 500, 4),
        (vec![now(502), now(502)], 3, 502, 1),
        (vec![now(500)], 0, 500, 1),
    ] {
        let (pod, address) = (Pod::scripted("a", script.clone()).await, address());
        let rule = rule("/")
            .retry(retry(&[500, 503], attempts))
            .to("a", 1, &[pod.address]);
        let _rig = Rig::start(serving(address, vec![rule])).await;

        let body = "x".repeat(20_000);
        let answer = post(address, &body).await;
        let seen = (answer.status().as_u16(), pod.requests());
        assert_eq!(seen, (expected, requests), "{script:?} {attempts}");
        assert!(answer.body().ends_with(&format!("\n\n{body}")));
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_sent_once() {
    let script = vec![(500, Duration::ZERO)];
    let (pod, address) = (Pod::scripted("a", script).await, address());
    let rule = rule("/").retry(retry(&[500], 3)).to("a", 1, &[pod.address]);
    let mut snapshot = serving(address, vec![rule]);
    set(&mut snapshot, |it| it.replay_bytes_max = 1_000);
    let _rig = Rig::start(snapshot).await;

    let answer = post(address, &"x".repeat(100_000)).await;
    assert_eq!((answer.status().as_u16(), pod.requests()), (500, 1));
}

/// Gateway API, `HTTPRouteRetry`: "Implementations SHOULD retry on connection errors […] if a retry stanza is
/// configured", and GEP-1731: connection errors need no codes.
#[tokio::test]
async fn a_refused_connection_is_tried_at_once_on_another_endpoint() {
    let (pod, address) = (Pod::echo("a").await, address());
    let dead = crate::rig::address();
    let rule = rule("/")
        .retry(retry(&[], 100))
        .to("a", 1, &[dead, pod.address]);
    let _rig = Rig::start(serving(address, vec![rule])).await;

    let started = Instant::now();
    for _ in 0..20 {
        let answer = get_once(address, "h", "/").await;
        assert_eq!((answer.status().as_u16(), client::pod(&answer)), (200, "a"));
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Gateway API, `HTTPRouteRetry.backoff`: all tries together end with `timeouts.request`; a try that reaches
/// `timeouts.backendRequest` is tried again.
#[tokio::test]
async fn timeouts_bound_tries_one_by_one_and_together() {
    let per_try = Timeouts {
        request: None,
        backend_request: Some(SHORT),
    };
    let together = Timeouts {
        request: Some(SHORT * 2),
        backend_request: None,
    };
    for (timeouts, script, expected) in [
        (per_try, vec![(200, SLOW)], 200),
        (together, vec![(500, SHORT); 9], 504),
    ] {
        let (pod, address) = (Pod::scripted("a", script).await, address());
        let rule = rule("/")
            .retry(retry(&[500], 9))
            .timeouts(timeouts)
            .to("a", 1, &[pod.address]);
        let _rig = Rig::start(serving(address, vec![rule])).await;

        assert_eq!(get_once(address, "h", "/").await.status(), expected);
    }
}

/// Gateway API, `HTTPRequestMirrorFilter`: several mirrors, each with its share; responses from them are ignored.
#[tokio::test]
async fn mirrors_get_their_share_and_never_the_clients_time() {
    let (pod, mirror) = (Pod::echo("a").await, Pod::echo("mirror").await);
    let stuck = Pod::scripted("stuck", vec![(500, SLOW); 64]).await;
    let address = address();
    let dead = crate::rig::address();
    let copy = |name: &str, endpoint, numerator| {
        Filter::RequestMirror(Mirror {
            target: Target::Backend(backend(name, &[endpoint]).into()),
            share: Fraction {
                numerator,
                denominator: 4,
            },
        })
    };
    let rule = rule("/")
        .filter(copy("mirror", mirror.address, 1))
        .filter(copy("stuck", stuck.address, 4))
        .filter(copy("dead", dead, 4))
        .to("a", 1, &[pod.address]);
    let _rig = Rig::start(serving(address, vec![rule])).await;

    let started = Instant::now();
    for _ in 0..40 {
        let answer = post(address, &"x".repeat(5_000)).await;
        assert_eq!((answer.status().as_u16(), client::pod(&answer)), (200, "a"));
        assert!(answer.body().ends_with(&"x".repeat(5_000)));
    }
    assert!(started.elapsed() < SLOW);
    eventually("every copy arrives", || {
        (mirror.requests(), stuck.requests()) == (10, 40)
    })
    .await;
    assert_eq!(pod.requests(), 40);
}

fn retry(codes: &[u16], attempts: u32) -> Retry {
    let status = |code: &u16| StatusCode::from_u16(*code).expect("a status");
    Retry {
        codes: codes.iter().map(status).collect(),
        attempts,
        backoff: None,
    }
}

async fn post(address: std::net::SocketAddr, body: &str) -> client::Answer {
    let request = Request::post("/").header("host", "h");
    let request = request.body(Full::new(Bytes::from(body.to_owned())));
    let mut client = Http1::connect(address).await;
    client.send(request.expect("a request")).await
}
