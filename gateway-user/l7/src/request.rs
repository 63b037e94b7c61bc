//! The one reading of a request head: what it asks for, or why it is refused. Knows no routes.
//!
//! hyper has parsed the bytes; what it lets through and an endpoint may read differently is refused here.

mod authority;
mod path;

use std::borrow::Cow;

use gateway_ir::ProxySettings;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri, Version, header};

use crate::refusal::Refusal;

/// Bytes that a header line has beside name and value: colon, space, CR, LF.
const LINE_OVERHEAD: usize = 4;

/// The text of the refusal of a message with a length and a coding.
pub(crate) const FRAMED_TWICE: &str = "both Content-Length and Transfer-Encoding\n";

/// What a request asks for, in canonical form.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// In lower case, without port and trailing dot.
    pub(crate) host: Cow<'a, str>,
    /// Without dot segments; the same bytes are matched and forwarded. `*` for `OPTIONS *`.
    pub(crate) path: Cow<'a, str>,
    /// What follows `?`.
    pub(crate) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Reads a request head.
    pub(crate) fn read(parts: &'a Parts, limits: &ProxySettings) -> Result<Self, Refusal> {
        check_size(parts, limits)?;
        check_framing(parts)?;
        let host =
            authority::host(authority(parts)?).ok_or(Refusal::Malformed("invalid Host\n"))?;
        let raw = parts.uri.path();
        let path = if raw == "*" && parts.method == Method::OPTIONS {
            Cow::Borrowed(raw)
        } else {
            path::normalize(raw).map_err(|invalid| Refusal::Malformed(invalid.text()))?
        };
        Ok(Self {
            host,
            path,
            query: parts.uri.query(),
        })
    }

    /// The request target for an endpoint, in origin form, with another path where a filter made one.
    pub(crate) fn origin_form(&self, original: &Uri, path: Option<&str>) -> Result<Uri, Refusal> {
        let mut forwarded = http::uri::Parts::default();
        let unchanged =
            path.is_none() && matches!(self.path, Cow::Borrowed(path) if path == original.path());
        forwarded.path_and_query = match original.path_and_query() {
            Some(same) if unchanged => Some(same.clone()),
            _ => Some(self.rebuild(path.unwrap_or(&self.path))?),
        };
        Uri::from_parts(forwarded).map_err(|_invalid| Refusal::Malformed("invalid target\n"))
    }

    /// The request target as it was asked for, in canonical form.
    pub(crate) fn canonical(&self, original: &Uri) -> Result<PathAndQuery, Refusal> {
        let target = self.origin_form(original, None)?;
        let target = target.into_parts().path_and_query;
        target.ok_or(Refusal::Malformed("invalid target\n"))
    }

    fn rebuild(&self, path: &str) -> Result<PathAndQuery, Refusal> {
        let text = match self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        PathAndQuery::try_from(text).map_err(|_invalid| Refusal::Malformed("invalid target\n"))
    }
}

fn check_size(parts: &Parts, limits: &ProxySettings) -> Result<(), Refusal> {
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > limits.path_bytes_max as usize {
        return Err(Refusal::PathTooLong);
    }
    let mut total = target;
    for (name, value) in &parts.headers {
        // Servers behind CGI-like interfaces read `a_b` and `a-b` as the same header.
        if name.as_str().contains('_') {
            return Err(Refusal::Malformed("a header name has an underscore\n"));
        }
        total += name.as_str().len() + value.len() + LINE_OVERHEAD;
    }
    if total > limits.header_bytes_max as usize {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(())
}

/// Refuses what frames a message in two ways, or in one that is not served.
fn check_framing(parts: &Parts) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::MethodUnsupported);
    }
    let Some(coding) = parts.headers.get(header::TRANSFER_ENCODING) else {
        return Ok(());
    };
    if parts.headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Refusal::Malformed(FRAMED_TWICE));
    }
    let once = parts
        .headers
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .nth(1)
        .is_none();
    if !once || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Refusal::CodingUnsupported);
    }
    Ok(())
}

/// The authority that a request is for: all the places that name one must agree (RFC 9112 §3.2, RFC 9113 §8.3.1).
fn authority(parts: &Parts) -> Result<&str, Refusal> {
    let host = single_host(&parts.headers)?;
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    match (named, host) {
        (Some(named), Some(host)) if named.eq_ignore_ascii_case(host) => Ok(host),
        (Some(_), Some(_)) => Err(Refusal::Malformed(
            "Host is not the authority of the target\n",
        )),
        (None, Some(host)) => Ok(host),
        (Some(named), None) if parts.version == Version::HTTP_2 => Ok(named),
        (Some(_) | None, None) => Err(Refusal::Malformed("no Host\n")),
    }
}

fn single_host(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut all = headers.get_all(header::HOST).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(Refusal::Malformed("more than one Host\n"));
    }
    first
        .map(|value| {
            value
                .to_str()
                .map_err(|_not_text| Refusal::Malformed("invalid Host\n"))
        })
        .transpose()
}

#[cfg(test)]
mod tests;
