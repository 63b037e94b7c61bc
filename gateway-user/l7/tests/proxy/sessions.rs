//! Session persistence.

use std::time::Duration;

use gateway_ir::{CookieLifetime, SessionCarrier, SessionPersistence};

use crate::client::{Answer, Http1, get, get_once, pod};
use crate::config::{rule, serving};
use crate::pods::Pod;
use crate::rig::{Rig, address};

/// Gateway API, `SessionPersistence`: the requests of a session go to one endpoint, also where weights would split
/// them; a session whose endpoint is gone begins anew.
#[tokio::test]
async fn a_session_stays_with_its_endpoint_while_that_serves() {
    let (a, b, address) = (Pod::echo("a").await, Pod::echo("b").await, address());
    for carrier in [cookie(), header()] {
        let site = |endpoints: &[std::net::SocketAddr]| {
            let rule = rule("/")
                .persistence(persistence(carrier.clone(), None))
                .to("one", 1, endpoints)
                .to("two", 1, endpoints);
            serving(address, vec![rule])
        };
        let rig = Rig::start(site(&[a.address, b.address])).await;

        let first = get_once(address, "h", "/").await;
        let token = token(&first).expect("a session begins");
        assert!(!token.contains("127.0.0.1"), "{token}");
        let mut client = Http1::connect(address).await;
        for _ in 0..20 {
            let answer = client.send(with(&token)).await;
            assert_eq!(pod(&answer), pod(&first));
            assert_eq!(self::token(&answer), None);
        }
        let forged = token.replace(['0', '1'], "2");
        assert!(self::token(&client.send(with(&forged)).await).is_some());

        let other = if pod(&first) == "a" { &b } else { &a };
        rig.publish(site(&[other.address])).await;
        let answer = client.send(with(&token)).await;
        assert_ne!(pod(&answer), pod(&first));
        assert!(self::token(&answer).is_some());
        // The next one has the same address: a connection must not get into the queue of this one's sockets.
        drop(client);
        rig.end().await;
    }
}

/// Gateway API, `SessionPersistence.absoluteTimeout`, `CookieConfig.lifetimeType`.
#[tokio::test]
async fn a_session_ends_with_its_absolute_timeout() {
    let (pod, address) = (Pod::echo("a").await, address());
    let lasting = |limit| {
        let persistence = persistence(cookie(), Some(limit));
        let rule = rule("/").persistence(persistence);
        serving(address, vec![rule.to("a", 1, &[pod.address])])
    };
    let rig = Rig::start(lasting(Duration::ZERO)).await;

    let answer = get_once(address, "h", "/").await;
    let set = answer.headers()["set-cookie"].to_str().expect("text");
    assert!(set.ends_with("; Path=/; HttpOnly; Max-Age=0"), "{set}");
    let token = token(&answer).expect("a session begins");
    let mut client = Http1::connect(address).await;
    assert!(self::token(&client.send(with(&token)).await).is_some());
    rig.publish(lasting(Duration::from_secs(3_600))).await;
    assert!(self::token(&client.send(with(&token)).await).is_none());
}

fn persistence(carrier: SessionCarrier, absolute_timeout: Option<Duration>) -> SessionPersistence {
    SessionPersistence {
        carrier,
        absolute_timeout,
    }
}

fn cookie() -> SessionCarrier {
    SessionCarrier::Cookie {
        name: "sid".to_owned(),
        path: "/".to_owned(),
        lifetime: CookieLifetime::Permanent,
    }
}

fn header() -> SessionCarrier {
    SessionCarrier::Header {
        name: "x-session".parse().expect("a name"),
    }
}

/// The token of an answer, from either carrier.
fn token(answer: &Answer) -> Option<String> {
    let headers = answer.headers();
    let text = |name| headers.get(name).map(|value| value.to_str().expect("text"));
    let cookie = text("set-cookie").and_then(|cookie| cookie.strip_prefix("sid="));
    let cookie = cookie.and_then(|cookie| cookie.split(';').next());
    cookie.or(text("x-session")).map(ToOwned::to_owned)
}

/// A request with a token in both carriers.
fn with(token: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = get("h", "/");
    let headers = request.headers_mut();
    headers.insert("x-session", token.parse().expect("text"));
    let cookies = format!("other=1; sid={token}");
    headers.insert("cookie", cookies.parse().expect("text"));
    request
}
