//! The two forms of a request's head: HTTP/1.1 with `Host`, HTTP/2 with an authority.

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri, Version, header};

/// Makes the form that HTTP/1.1 engines send. A request that was meant for the other engine is turned back.
pub(super) fn for_http1<B>(mut request: Request<B>) -> Request<B> {
    let host = request.uri().authority().map(Authority::as_str);
    if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
        request.headers_mut().insert(header::HOST, host);
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = None;
        parts.authority = None;
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    *request.version_mut() = Version::HTTP_11;
    request
}

/// Makes the form that HTTP/2 engines send.
pub(super) fn for_http2<B>(mut request: Request<B>, scheme: Scheme) -> Request<B> {
    let host = request.headers_mut().remove(header::HOST);
    request.headers_mut().remove(header::TRANSFER_ENCODING);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    if let Some(authority) = authority {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(scheme);
        parts.authority = Some(authority);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    *request.version_mut() = Version::HTTP_2;
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_changes_its_form_and_back_again() {
        let request = Request::get("/x?q").header("host", "a.b:81").body(());
        let request = for_http2(request.expect("a request"), Scheme::HTTPS);
        assert_eq!(request.uri(), "https://a.b:81/x?q");
        assert!(request.headers().is_empty());
        let request = for_http1(request);
        assert_eq!(request.uri(), "/x?q");
        assert_eq!(request.headers()["host"], "a.b:81");
    }
}
