//! Paths as the CRD's validation rules take them.

use super::*;

#[test]
fn a_prefix_loses_its_trailing_slash_and_an_exact_path_does_not() {
    assert_eq!(
        read(PathType::PathPrefix, "/"),
        Ok(PathMatch::Prefix(String::new()))
    );
    assert_eq!(
        read(PathType::PathPrefix, "/a/"),
        Ok(PathMatch::Prefix("/a".to_owned()))
    );
    assert_eq!(
        read(PathType::Exact, "/a/"),
        Ok(PathMatch::Exact("/a/".to_owned()))
    );
    assert_eq!(path(None), Ok(PathMatch::Prefix(String::new())));
}

#[test]
fn paths_that_no_request_can_have_are_refused() {
    let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
    for text in [
        "", "a", "//", "/a//b", "/a/./b", "/a/../b", "/a/..", "/a/.", "/a%2Fb", "/a%2fb", "/a#b",
        "/a b", "/ä", "/%zz", "/%2", "/a?b", &long,
    ] {
        assert!(read(PathType::Exact, text).is_err(), "{text}");
        assert!(read(PathType::PathPrefix, text).is_err(), "{text}");
    }
}

#[test]
fn every_character_of_a_path_segment_is_taken() {
    let path = "/-A9._~!$&'()*+,;=:@%20";
    assert_eq!(
        read(PathType::Exact, path),
        Ok(PathMatch::Exact(path.to_owned()))
    );
}

#[test]
fn a_regular_expression_must_compile_as_a_whole() {
    assert!(read(PathType::RegularExpression, "/[a-z]+|/b").is_ok());
    for text in [")(", "(?x)a #", "("] {
        assert!(read(PathType::RegularExpression, text).is_err(), "{text}");
    }
    assert!(read(PathType::RegularExpression, "(?<=look)behind").is_err());
}

fn read(kind: PathType, value: &str) -> Result<PathMatch, String> {
    path(Some(&HttpRouteRulesMatchesPath {
        r#type: Some(kind),
        value: Some(value.to_owned()),
    }))
}
