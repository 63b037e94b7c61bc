//! Timeouts, retries and sessions, each with what the API says of it.

use serde_json::{Value, json};

use super::*;

/// "Zero value (0s) means no timeout"; "backendRequest … must be less than or equal to request".
#[test]
fn a_timeout_of_zero_is_none_and_a_try_is_no_longer_than_the_request() {
    let read = |request: &str, backend: &str| {
        let given = from(json!({"request": request, "backendRequest": backend}));
        timeouts(Some(&given)).map(|it| (it.request, it.backend_request))
    };
    let seconds = Duration::from_secs;
    assert_eq!(read("10s", "2s"), Ok((Some(seconds(10)), Some(seconds(2)))));
    assert_eq!(read("0s", "2s"), Ok((None, Some(seconds(2)))));
    assert_eq!(read("2s", "0s"), Ok((Some(seconds(2)), None)));
    assert!(read("2s", "3s").is_err());
    assert!(read("2", "1s").is_err());
}

/// "attempts: minimum 0, default 1"; "codes: 400 to 599, unique".
#[test]
fn a_retry_tries_once_more_unless_told_otherwise() {
    let read = |value: Value| retry(Some(&from(value)));
    let default = read(json!({})).expect("valid").expect("a retry");
    assert_eq!((default.attempts, default.codes.len()), (1, 0));
    let none = read(json!({"attempts": 0, "codes": [500, 503]}));
    assert_eq!(none.expect("valid").expect("a retry").attempts, 0);
    for invalid in [
        json!({"attempts": -1}),
        json!({"codes": [399]}),
        json!({"codes": [600]}),
        json!({"codes": [500, 500]}),
        json!({"backoff": "soon"}),
    ] {
        assert!(read(invalid.clone()).is_err(), "{invalid}");
    }
}

#[test]
fn a_session_has_a_carrier_a_name_and_an_end() {
    let read = |value: Value| persistence(Some(&from(value)), "sanmon-a-b-0");
    let cookie = read(json!({"cookie": {}})).expect("valid");
    assert_eq!(
        cookie.expect("a session").carrier,
        SessionCarrier::Cookie {
            name: "sanmon-a-b-0".to_owned(),
            path: "/".to_owned(),
            lifetime: CookieLifetime::Session,
        }
    );
    let header = read(json!({"type": "Header", "header": {"name": "X-Session"}}));
    let carrier = header.expect("valid").expect("a session").carrier;
    assert!(matches!(carrier, SessionCarrier::Header { name } if name == "x-session"));
    let permanent = json!({"cookie": {"lifetimeType": "Permanent"}, "absoluteTimeout": "1h"});
    let permanent = read(permanent).expect("valid").expect("a session");
    assert_eq!(permanent.absolute_timeout, Some(Duration::from_secs(3600)));
    for invalid in [
        json!({}),
        json!({"type": "Cookie", "header": {"name": "x"}}),
        json!({"type": "Header", "header": {"name": "x"}, "cookie": {}}),
        json!({"cookie": {"lifetimeType": "Permanent"}}),
        json!({"cookie": {"name": "a b"}}),
        json!({"cookie": {"path": "/a; Domain=evil"}}),
    ] {
        assert!(read(invalid.clone()).is_err(), "{invalid}");
    }
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the form of the API")
}
