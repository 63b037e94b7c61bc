//! CORS.

use std::time::Duration;

use gateway_crds::httproutes::HttpRouteRulesFiltersCors as ApiCors;
use gateway_ir::{Cors, Credentials, HostPattern, Listing, OriginPattern};
use http::Method;

use crate::conv::syntax::header_name;

/// The most entries that a list may have (the CRD's limit).
const ENTRIES_MAX: usize = 64;

/// The seconds that a preflight answer may be remembered without `maxAge` (Gateway API: `HTTPCORSFilter.maxAge`).
const MAX_AGE_SECONDS: i32 = 5;

/// Reads a CORS filter.
pub(super) fn cors(cors: &ApiCors) -> Result<Cors, String> {
    let seconds = cors.max_age.unwrap_or(MAX_AGE_SECONDS);
    let max_age = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    Ok(Cors {
        allow_origins: origins(cors.allow_origins.as_deref().unwrap_or_default())?,
        allow_credentials: if cors.allow_credentials.unwrap_or_default() {
            Credentials::Allowed
        } else {
            Credentials::Withheld
        },
        allow_methods: listing("allowMethods", &cors.allow_methods, method)?,
        allow_headers: listing("allowHeaders", &cors.allow_headers, header_name)?,
        expose_headers: listing("exposeHeaders", &cors.expose_headers, header_name)?,
        max_age: max_age
            .map(Duration::from_secs)
            .ok_or_else(|| format!("maxAge {seconds} of CORS is not above 0"))?,
    })
}

fn listing<T>(
    field: &str,
    names: &Option<Vec<String>>,
    read: fn(&str) -> Result<T, String>,
) -> Result<Listing<T>, String> {
    let names = names.as_deref().unwrap_or_default();
    if names.len() > ENTRIES_MAX {
        return Err(format!(
            "{field} of CORS has more than {ENTRIES_MAX} entries"
        ));
    }
    match names {
        [any] if any == "*" => Ok(Listing::Any),
        names if names.iter().any(|name| name == "*") => {
            Err(format!("* is not alone in {field} of CORS"))
        }
        names => {
            let read = names.iter().map(|name| read(name));
            Ok(Listing::These(read.collect::<Result<_, _>>()?))
        }
    }
}

fn method(name: &str) -> Result<Method, String> {
    Method::from_bytes(name.as_bytes()).map_err(|_invalid| format!("{name:?} is not a method"))
}

fn origins(texts: &[String]) -> Result<Vec<OriginPattern>, String> {
    if texts.len() > ENTRIES_MAX {
        return Err(format!("allowOrigins has more than {ENTRIES_MAX} entries"));
    }
    let origins = texts.iter().map(|text| {
        origin(text).ok_or_else(|| format!("{text:?} of allowOrigins is not an origin"))
    });
    let origins: Vec<OriginPattern> = origins.collect::<Result<_, _>>()?;
    if origins.len() > 1 && origins.contains(&OriginPattern::Any) {
        return Err("* is not alone in allowOrigins".to_owned());
    }
    Ok(origins)
}

/// Gateway API: `*`, or `http(s)://` and a host that may be or begin with a wildcard, with or without a port.
fn origin(text: &str) -> Option<OriginPattern> {
    if text == "*" {
        return Some(OriginPattern::Any);
    }
    let text = text.to_ascii_lowercase();
    let (scheme, rest) = text.split_once("://")?;
    if !["http", "https"].contains(&scheme) {
        return None;
    }
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    port.map_or(Some(0), |port| port.parse::<u16>().ok())?;
    match host.strip_prefix('*') {
        None if is_host(host) => Some(OriginPattern::Exact(text.clone())),
        Some(suffix) if suffix.is_empty() || suffix.strip_prefix('.').is_some_and(is_host) => {
            Some(OriginPattern::Wildcard {
                scheme: format!("{scheme}://"),
                suffix: rest.strip_prefix('*')?.to_owned(),
            })
        }
        None | Some(_) => None,
    }
}

/// A name or an IPv4 address: an origin may be either.
fn is_host(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>().is_ok() || host.parse::<HostPattern>().is_ok()
}
