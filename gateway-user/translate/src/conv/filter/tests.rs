//! Each filter as the API describes it, and what its CRD refuses.

use gateway_ir::{AuthProtocol, Cors, Listing, OriginPattern, PathModifier, Scheme};
use http::HeaderName;
use serde_json::{Value, json};

use super::*;

#[test]
fn a_filter_has_exactly_the_field_of_its_type() {
    assert!(read(json!({"type": "CORS"})).is_err());
    let both = json!({"type": "CORS", "cors": {}, "urlRewrite": {}});
    assert!(read(both).is_err());
    assert!(read(json!({"type": "CORS", "cors": {}})).is_ok());
}

/// "the first entry MUST be considered for a match. Subsequent entries with an equivalent header name MUST be ignored."
#[test]
fn of_equivalent_header_names_the_first_counts() {
    let set = json!([{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}]);
    let Ok(Filter::RequestHeaderModifier(edits)) = modifier("set", set) else {
        panic!("not a modifier");
    };
    assert_eq!(edits.set.len(), 1);
    assert_eq!(edits.set[0].1, "1");
}

#[test]
fn headers_that_frame_a_message_are_left_alone() {
    for name in ["Host", "content-length", "Transfer-Encoding", "connection"] {
        let set = json!([{"name": name, "value": "1"}]);
        assert!(modifier("set", set).is_err(), "{name}");
        assert!(modifier("remove", json!([name])).is_err(), "{name}");
    }
    assert!(modifier("set", json!([{"name": "a b", "value": "1"}])).is_err());
    assert!(modifier("add", json!([{"name": "a", "value": "1\n2"}])).is_err());
}

/// "statusCode: 301, 302, 303, 307, 308; default 302".
#[test]
fn a_redirect_has_one_of_five_statuses() {
    let status = |code: Value| {
        let filter =
            read(json!({"type": "RequestRedirect", "requestRedirect": {"statusCode": code}}));
        filter.map(|it| {
            let Filter::RequestRedirect(redirect) = it else {
                panic!("{it:?}");
            };
            redirect.status.as_u16()
        })
    };
    assert_eq!(status(Value::Null), Ok(302));
    for code in [301, 302, 303, 307, 308] {
        assert_eq!(status(json!(code)), Ok(code));
    }
    assert!(status(json!(200)).is_err());
    assert!(status(json!(304)).is_err());
}

#[test]
fn a_redirect_says_where_to() {
    let redirect = json!({
        "scheme": "https", "hostname": "other.example", "port": 8443,
        "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}
    });
    let Ok(Filter::RequestRedirect(redirect)) =
        read(json!({"type": "RequestRedirect", "requestRedirect": redirect}))
    else {
        panic!("not a redirect");
    };
    assert_eq!(redirect.scheme, Some(Scheme::Https));
    assert_eq!(redirect.hostname.as_deref(), Some("other.example"));
    assert_eq!(redirect.port, Some(8443));
    let path = PathModifier::ReplacePrefixMatch("/new".to_owned());
    assert_eq!(redirect.path, Some(path));
}

#[test]
fn a_replacement_that_is_no_path_is_refused() {
    for path in ["new", "/a b", "/a?b", "/a#b", "/\r\nLocation: x"] {
        let path = json!({"type": "ReplaceFullPath", "replaceFullPath": path});
        let filter = read(json!({"type": "URLRewrite", "urlRewrite": {"path": path}}));
        assert!(filter.is_err(), "{path}");
    }
    for hostname in ["*.example", "192.0.2.1", "a..b", "Upper.example"] {
        let rewrite = json!({"hostname": hostname});
        assert!(read(json!({"type": "URLRewrite", "urlRewrite": rewrite})).is_err());
    }
}

/// "percent" or "fraction" ("denominator" defaults to 100), else every request.
#[test]
fn a_mirror_takes_a_share_of_the_requests() {
    let share = |field: &str, value: Value| {
        let mut mirror = json!({"backendRef": {"name": "copy", "port": 80}});
        mirror[field] = value;
        let filters = [json!({"type": "RequestMirror", "requestMirror": mirror})];
        let mut read = filters_of(&filters);
        read.remove(0).map(|it| match it {
            RouteFilter::Mirror { share, .. } => (share.numerator, share.denominator),
            RouteFilter::Ready(_) | RouteFilter::Auth { .. } => panic!("{it:?}"),
        })
    };
    assert_eq!(share("percent", Value::Null), Ok((1, 1)));
    assert_eq!(share("percent", json!(20)), Ok((20, 100)));
    assert_eq!(share("fraction", json!({"numerator": 3})), Ok((3, 100)));
    let half = json!({"numerator": 25, "denominator": 50});
    assert_eq!(share("fraction", half), Ok((25, 50)));
    assert!(share("percent", json!(101)).is_err());
    assert!(share("fraction", json!({"numerator": 2, "denominator": 1})).is_err());
    assert!(share("fraction", json!({"numerator": 0, "denominator": 0})).is_err());
}

/// "Path sets the prefix that paths from the client request will have added"; "implementations MUST sanitize this input".
/// "If this list is empty, then all headers … must be copied"; "If 0, the body will not be sent".
#[test]
fn an_authorization_has_the_field_of_its_protocol_and_a_path_without_tricks() {
    let auth = |protocol: &str, own: Value, body: Value| {
        let mut auth = json!({
            "protocol": protocol, "backendRef": {"name": "auth", "port": 80}, "forwardBody": {"maxSize": body}
        });
        let fields = own.as_object().expect("fields").clone();
        auth.as_object_mut().expect("an object").extend(fields);
        let filters = [json!({"type": "ExternalAuth", "externalAuth": auth})];
        filters_of(&filters).remove(0).map(|it| match it {
            RouteFilter::Auth {
                protocol,
                body_bytes_max,
                ..
            } => (protocol, body_bytes_max),
            RouteFilter::Ready(_) | RouteFilter::Mirror { .. } => panic!("{it:?}"),
        })
    };
    let http = |path: &str| {
        let read = auth("HTTP", json!({"http": {"path": path}}), Value::Null);
        read.map(|(protocol, _)| {
            let AuthProtocol::Http {
                path,
                request_headers,
                response_headers,
            } = protocol
            else {
                panic!("{protocol:?}");
            };
            assert_eq!((request_headers, response_headers), (vec![], Listing::Any));
            path
        })
    };
    for (path, read) in [("", ""), ("/", ""), ("check", "/check"), ("/a/b/", "/a/b")] {
        assert_eq!(http(path), Ok(read.to_owned()), "{path}");
    }
    for path in [
        "/a/../b",
        "/a//b",
        "/%2e%2E/a",
        "/a%2fb",
        "/a b",
        "/a?b",
        "/a\r\nx",
    ] {
        assert!(http(path).is_err(), "{path}");
    }
    let grpc = auth(
        "GRPC",
        json!({"grpc": {"allowedHeaders": ["X-A"]}}),
        json!(9),
    );
    let x_a = Listing::These(vec![HeaderName::from_static("x-a")]);
    let expected = AuthProtocol::Grpc {
        request_headers: x_a,
    };
    assert_eq!(grpc, Ok((expected, 9)));
    for (protocol, own) in [
        ("HTTP", json!({})),
        ("GRPC", json!({})),
        ("HTTP", json!({"grpc": {}})),
        ("GRPC", json!({"http": {}})),
        ("HTTP", json!({"http": {}, "grpc": {}})),
        ("HTTP", json!({"http": {"allowedHeaders": ["a b"]}})),
    ] {
        assert!(auth(protocol, own.clone(), Value::Null).is_err(), "{own}");
    }
    assert!(auth("HTTP", json!({"http": {}}), json!(-1)).is_err());
}

#[test]
fn cors_origins_are_exact_or_begin_with_a_wildcard() {
    let origins = |texts: &[&str]| cors(json!({"allowOrigins": texts})).map(|it| it.allow_origins);
    let wildcard = |scheme: &str, suffix: &str| OriginPattern::Wildcard {
        scheme: scheme.to_owned(),
        suffix: suffix.to_owned(),
    };
    assert_eq!(origins(&["*"]), Ok(vec![OriginPattern::Any]));
    assert_eq!(
        origins(&[
            "https://A.example:8443",
            "http://*.b.example:80",
            "https://*"
        ]),
        Ok(vec![
            OriginPattern::Exact("https://a.example:8443".to_owned()),
            wildcard("http://", ".b.example:80"),
            wildcard("https://", ""),
        ])
    );
    for invalid in [
        "a.example",
        "ftp://a.example",
        "https://a.example/",
        "https://a*.example",
        "https://a:99999",
        "null",
    ] {
        assert!(origins(&[invalid]).is_err(), "{invalid}");
    }
    assert!(origins(&["*", "https://a.example"]).is_err());
}

#[test]
fn a_star_stands_alone_in_cors_lists_and_max_age_is_five_seconds() {
    let default = cors(json!({})).expect("valid");
    assert_eq!(default.max_age.as_secs(), 5);
    let any = cors(json!({"allowMethods": ["*"], "allowHeaders": ["*"]})).expect("valid");
    assert_eq!(any.allow_methods, Listing::Any);
    assert_eq!(any.allow_headers, Listing::Any);
    assert!(cors(json!({"allowMethods": ["*", "GET"]})).is_err());
    assert!(cors(json!({"maxAge": 0})).is_err());
}

fn cors(value: Value) -> Result<Cors, String> {
    read(json!({"type": "CORS", "cors": value})).map(|it| {
        let Filter::Cors(cors) = it else {
            panic!("{it:?}");
        };
        cors
    })
}

fn modifier(field: &str, value: Value) -> Result<Filter, String> {
    read(json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {field: value}}))
}

fn read(filter: Value) -> Result<Filter, String> {
    filters_of(&[filter]).remove(0).map(|it| match it {
        RouteFilter::Ready(filter) => filter,
        RouteFilter::Mirror { .. } | RouteFilter::Auth { .. } => panic!("{it:?}"),
    })
}

fn filters_of(filters: &[Value]) -> Vec<Result<RouteFilter, String>> {
    super::filters(Some(filters), &"default".into())
}
