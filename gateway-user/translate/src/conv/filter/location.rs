//! Redirects and rewrites: other hosts and paths.

use gateway_crds::httproutes::{
    HttpRouteRulesFiltersRequestRedirect as ApiRedirect,
    HttpRouteRulesFiltersRequestRedirectPath as ApiPath,
    HttpRouteRulesFiltersRequestRedirectPathType as PathType,
    HttpRouteRulesFiltersRequestRedirectScheme as ApiScheme,
    HttpRouteRulesFiltersUrlRewrite as ApiRewrite,
};
use gateway_ir::{HostPattern, PathModifier, Redirect, Scheme, UrlRewrite};
use http::StatusCode;

use crate::conv::form::same_form;
use crate::conv::syntax::is_pchar;

/// The longest path that the API takes, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// Reads a redirect.
pub(super) fn redirect(redirect: &ApiRedirect) -> Result<Redirect, String> {
    let port = redirect.port.map(|port| {
        let number = u16::try_from(port).ok().filter(|port| *port > 0);
        number.ok_or_else(|| format!("redirect to port {port}, which is not in 1..=65535"))
    });
    Ok(Redirect {
        scheme: redirect.scheme.as_ref().map(|scheme| match scheme {
            ApiScheme::Http => Scheme::Http,
            ApiScheme::Https => Scheme::Https,
        }),
        hostname: redirect.hostname.as_deref().map(hostname).transpose()?,
        path: redirect.path.as_ref().map(path).transpose()?,
        port: port.transpose()?,
        status: status(redirect.status_code.unwrap_or(302))?,
    })
}

fn status(code: i64) -> Result<StatusCode, String> {
    let served = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let found = served.iter().find(|it| i64::from(it.as_u16()) == code);
    found
        .copied()
        .ok_or_else(|| format!("status {code} of a redirect is not 301, 302, 303, 307 or 308"))
}

/// Reads a rewrite.
pub(super) fn rewrite(rewrite: &ApiRewrite) -> Result<UrlRewrite, String> {
    let modifier = rewrite.path.as_ref().map(|it| path(&same_form(it)?));
    Ok(UrlRewrite {
        hostname: rewrite.hostname.as_deref().map(hostname).transpose()?,
        path: modifier.transpose()?,
    })
}

/// Gateway API: `PreciseHostname`.
fn hostname(text: &str) -> Result<String, String> {
    match text.parse() {
        Ok(HostPattern::Exact(name)) if name == text => Ok(name),
        Ok(HostPattern::Exact(_) | HostPattern::Wildcard(_) | HostPattern::Any) | Err(_) => {
            Err(format!("hostname {text:?} is not a DNS name in lower case"))
        }
    }
}

fn path(path: &ApiPath) -> Result<PathModifier, String> {
    match (
        &path.r#type,
        &path.replace_full_path,
        &path.replace_prefix_match,
    ) {
        (PathType::ReplaceFullPath, Some(full), None) => {
            Ok(PathModifier::ReplaceFullPath(replacement(full)?))
        }
        (PathType::ReplacePrefixMatch, None, Some(prefix)) => {
            Ok(PathModifier::ReplacePrefixMatch(replacement(prefix)?))
        }
        (PathType::ReplaceFullPath | PathType::ReplacePrefixMatch, _, _) => {
            Err("a path modifier has not exactly the field of its type".to_owned())
        }
    }
}

/// The CRD takes any text; what is no path would make a request or a Location that no one can read.
fn replacement(text: &str) -> Result<String, String> {
    let is_path = text.is_empty() || text.starts_with('/') && is_pchar(text.as_bytes());
    if !is_path || text.len() > PATH_BYTES_MAX {
        return Err(format!("replacement {text:?} is not a path"));
    }
    Ok(text.to_owned())
}
