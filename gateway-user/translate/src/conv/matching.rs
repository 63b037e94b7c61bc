//! Matches of HTTPRoutes.

use gateway_crds::httproutes::{
    HttpRouteRulesMatches, HttpRouteRulesMatchesHeaders,
    HttpRouteRulesMatchesHeadersType as HeaderType, HttpRouteRulesMatchesMethod as ApiMethod,
    HttpRouteRulesMatchesPath, HttpRouteRulesMatchesPathType as PathType,
    HttpRouteRulesMatchesQueryParams, HttpRouteRulesMatchesQueryParamsType as QueryType,
};
use gateway_ir::{HeaderMatch, Match, PathMatch, QueryMatch, REGEX_BYTES_MAX, ValueMatch};
use http::Method;
use regex::RegexBuilder;

use super::syntax::{header_name, is_pchar};

/// The longest path that the API takes, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// Reads a match, or says what is wrong with it.
pub(crate) fn matching(matching: &HttpRouteRulesMatches) -> Result<Match, String> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for it in matching.headers.iter().flatten() {
        let read = header(it)?;
        // Gateway API: of equal names (in any case) only the first counts.
        if !headers.iter().any(|header| header.name == read.name) {
            headers.push(read);
        }
    }
    let mut query: Vec<QueryMatch> = Vec::new();
    for it in matching.query_params.iter().flatten() {
        let read = query_param(it)?;
        if !query.iter().any(|param| param.name == read.name) {
            query.push(read);
        }
    }
    Ok(Match {
        path: path(matching.path.as_ref())?,
        method: matching.method.as_ref().map(method),
        headers,
        query,
    })
}

fn path(path: Option<&HttpRouteRulesMatchesPath>) -> Result<PathMatch, String> {
    let kind = path.and_then(|it| it.r#type.as_ref());
    let value = path.and_then(|it| it.value.as_deref()).unwrap_or("/");
    match kind {
        Some(PathType::Exact) => plain_path(value).map(|path| PathMatch::Exact(path.to_owned())),
        None | Some(PathType::PathPrefix) => {
            let path = plain_path(value)?;
            // Gateway API: `/abc/` and `/abc` are the same prefix.
            Ok(PathMatch::Prefix(
                path.strip_suffix('/').unwrap_or(path).to_owned(),
            ))
        }
        Some(PathType::RegularExpression) => Ok(PathMatch::Regex(pattern(value)?)),
    }
}

/// The checks of the CRD's validation rules on `HTTPPathMatch`.
fn plain_path(path: &str) -> Result<&str, String> {
    if !path.starts_with('/') {
        return Err(format!("path {path:?} does not start with /"));
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(format!("a path is longer than {PATH_BYTES_MAX} bytes"));
    }
    let forbidden = ["//", "/./", "/../", "%2f", "%2F", "#"];
    let forbidden = forbidden.into_iter().find(|part| path.contains(part));
    let ending = ["/..", "/."].into_iter().find(|end| path.ends_with(end));
    if let Some(part) = forbidden.or(ending) {
        return Err(format!("path {path:?} contains {part:?}"));
    }
    if !is_pchar(path.as_bytes()) {
        return Err(format!(
            "path {path:?} has characters that must be percent-encoded"
        ));
    }
    Ok(path)
}

/// Checks that a regular expression compiles, alone and as the whole-value match that it will be: `)(` only does the
/// latter, `(?x)a #` only the former. Matching is linear in the text whatever it is; how much memory it takes is limited.
pub(crate) fn pattern(regex: &str) -> Result<String, String> {
    let forms = [regex.to_owned(), format!(r"\A(?:{regex})\z")];
    for form in forms {
        let built = RegexBuilder::new(&form).size_limit(REGEX_BYTES_MAX).build();
        match built {
            Ok(_) => {}
            Err(regex::Error::CompiledTooBig(_)) => {
                return Err(format!(
                    "a regular expression needs more than the {REGEX_BYTES_MAX} bytes that one may take"
                ));
            }
            Err(_) => {
                return Err(format!(
                    "{regex:?} is not a regular expression that is served"
                ));
            }
        }
    }
    Ok(regex.to_owned())
}

pub(crate) fn header(header: &HttpRouteRulesMatchesHeaders) -> Result<HeaderMatch, String> {
    let value = &header.value;
    Ok(HeaderMatch {
        name: header_name(&header.name)?,
        value: match header.r#type {
            None | Some(HeaderType::Exact) => ValueMatch::Exact(value.clone()),
            Some(HeaderType::RegularExpression) => ValueMatch::Regex(pattern(value)?),
        },
    })
}

fn query_param(param: &HttpRouteRulesMatchesQueryParams) -> Result<QueryMatch, String> {
    if param.name.is_empty() {
        return Err("a query parameter has no name".to_owned());
    }
    let value = &param.value;
    Ok(QueryMatch {
        name: param.name.clone(),
        value: match param.r#type {
            None | Some(QueryType::Exact) => ValueMatch::Exact(value.clone()),
            Some(QueryType::RegularExpression) => ValueMatch::Regex(pattern(value)?),
        },
    })
}

fn method(method: &ApiMethod) -> Method {
    match method {
        ApiMethod::Get => Method::GET,
        ApiMethod::Head => Method::HEAD,
        ApiMethod::Post => Method::POST,
        ApiMethod::Put => Method::PUT,
        ApiMethod::Delete => Method::DELETE,
        ApiMethod::Connect => Method::CONNECT,
        ApiMethod::Options => Method::OPTIONS,
        ApiMethod::Trace => Method::TRACE,
        ApiMethod::Patch => Method::PATCH,
    }
}

#[cfg(test)]
mod tests;
