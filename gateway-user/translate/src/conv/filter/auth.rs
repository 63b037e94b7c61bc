//! Authorization by a server.

use std::sync::Arc;

use gateway_crds::httproutes::{
    HttpRouteRulesFiltersExternalAuth as ApiAuth,
    HttpRouteRulesFiltersExternalAuthProtocol as Protocol,
};
use gateway_ir::{AuthProtocol, Listing};
use http::HeaderName;

use crate::conv::reference::{backend, named};
use crate::conv::syntax::{header_name, is_pchar};
use crate::model::RouteFilter;

/// The most entries that a list may have (the CRD's limit).
const ENTRIES_MAX: usize = 64;

/// The longest path that the API takes, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// Reads an authorization.
pub(super) fn auth(auth: &ApiAuth, namespace: &Arc<str>) -> Result<RouteFilter, String> {
    let protocol = match (&auth.protocol, &auth.http, &auth.grpc) {
        (Protocol::Http, Some(http), None) => AuthProtocol::Http {
            path: path(http.path.as_deref().unwrap_or_default())?,
            request_headers: names("allowedHeaders", http.allowed_headers.as_deref())?,
            response_headers: listing(
                "allowedResponseHeaders",
                http.allowed_response_headers.as_deref(),
            )?,
        },
        (Protocol::Grpc, None, Some(grpc)) => AuthProtocol::Grpc {
            request_headers: listing("allowedHeaders", grpc.allowed_headers.as_deref())?,
        },
        (Protocol::Http | Protocol::Grpc, _, _) => {
            return Err("filter ExternalAuth has not exactly the field of its protocol".to_owned());
        }
    };
    let body = auth.forward_body.as_ref();
    let bytes = body.and_then(|it| it.max_size).unwrap_or_default();
    let server = &auth.backend_ref;
    Ok(RouteFilter::Auth {
        server: backend(
            server.group.as_deref(),
            server.kind.as_deref(),
            named(&server.name, server.namespace.as_deref(), namespace),
            server.port,
            None,
        ),
        protocol,
        body_bytes_max: u32::try_from(bytes)
            .map_err(|_negative| format!("forwardBody.maxSize {bytes} is below 0"))?,
    })
}

/// Gateway API: an empty list is every header.
fn listing(field: &str, given: Option<&[String]>) -> Result<Listing<HeaderName>, String> {
    let names = names(field, given)?;
    if names.is_empty() {
        return Ok(Listing::Any);
    }
    Ok(Listing::These(names))
}

fn names(field: &str, given: Option<&[String]>) -> Result<Vec<HeaderName>, String> {
    let given = given.unwrap_or_default();
    if given.len() > ENTRIES_MAX {
        return Err(format!(
            "{field} of ExternalAuth has more than {ENTRIES_MAX} entries"
        ));
    }
    given.iter().map(|name| header_name(name)).collect()
}

/// "implementations MUST sanitize this input before using it directly": a path whose elements are all its own.
fn path(text: &str) -> Result<String, String> {
    let refused = || format!("path {text:?} of ExternalAuth is not a path");
    let trimmed = text.trim_matches('/');
    if trimmed.is_empty() {
        return Ok(String::new());
    }
    let is_own = |element: &str| {
        let element = element.to_ascii_lowercase().replace("%2e", ".");
        !matches!(element.as_str(), "" | "." | "..")
    };
    let lower = trimmed.to_ascii_lowercase();
    let hides = ["%2f", "%5c", "%00"].iter().any(|it| lower.contains(it));
    let is_path = is_pchar(trimmed.as_bytes()) && trimmed.split('/').all(is_own) && !hides;
    if !is_path || text.len() > PATH_BYTES_MAX {
        return Err(refused());
    }
    Ok(format!("/{trimmed}"))
}
