//! Which heads are refused, and with what.

use super::*;

fn read(head: http::request::Builder) -> Result<(String, String), Refusal> {
    let parts = parts(head);
    Target::read(&parts, &ProxySettings::default())
        .map(|target| (target.host.into_owned(), target.path.into_owned()))
}

fn get(target: &str) -> http::request::Builder {
    http::Request::get(target)
}

fn status(head: http::request::Builder) -> u16 {
    read(head)
        .expect_err("the request is refused")
        .status()
        .as_u16()
}

#[test]
fn exactly_one_host_is_needed_and_agrees_with_the_target() {
    let one = read(get("/x").header("host", "A.b:80")).expect("accepted");
    assert_eq!(one, ("a.b".to_owned(), "/x".to_owned()));
    assert!(read(get("http://a.b/x").header("host", "a.b")).is_ok());
    assert!(read(get("http://a.b/x").version(Version::HTTP_2)).is_ok());

    assert_eq!(status(get("/x")), 400);
    assert_eq!(
        status(get("/x").header("host", "a.b").header("host", "a.b")),
        400
    );
    assert_eq!(status(get("http://a.b/x").header("host", "c.d")), 400);
    assert_eq!(status(get("http://a.b/x")), 400);
}

#[test]
fn only_one_framing_is_accepted() {
    let post = || http::Request::post("/").header("host", "a.b");
    assert!(read(post().header("transfer-encoding", "Chunked")).is_ok());
    let both = post().header("transfer-encoding", "chunked");
    assert_eq!(status(both.header("content-length", "3")), 400);
    for coding in ["gzip, chunked", "chunked, chunked", "identity"] {
        assert_eq!(status(post().header("transfer-encoding", coding)), 501);
    }
    let twice = post().header("transfer-encoding", "chunked");
    assert_eq!(status(twice.header("transfer-encoding", "chunked")), 501);
    assert_eq!(status(http::Request::connect("a.b:443")), 501);
}

#[test]
fn limits_have_their_own_statuses() {
    let long = format!("/{}", "a".repeat(9_000));
    assert_eq!(status(get(&long).header("host", "a.b")), 414);
    let large = "v".repeat(40_000);
    assert_eq!(
        status(get("/").header("host", "a.b").header("x", large)),
        431
    );
    assert_eq!(
        status(get("/").header("host", "a.b").header("a_b", "1")),
        400
    );
}

#[test]
fn the_forwarded_target_is_the_matched_path_with_the_query_untouched() {
    let (parts, ()) = get("http://a.b/x/../y?q=%2f")
        .header("host", "a.b")
        .body(())
        .expect("a request")
        .into_parts();
    let target = Target::read(&parts, &ProxySettings::default()).expect("accepted");
    let forwarded = target.origin_form(&parts.uri, None).expect("a target");
    assert_eq!(forwarded.to_string(), "/y?q=%2f");
}

fn parts(head: http::request::Builder) -> Parts {
    head.body(()).expect("a request").into_parts().0
}
