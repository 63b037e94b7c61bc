//! Timeouts, retries and session persistence of rules.

use std::collections::BTreeSet;
use std::time::Duration;

use gateway_crds::httproutes::{
    HttpRouteRulesRetry as ApiRetry, HttpRouteRulesSessionPersistence as ApiPersistence,
    HttpRouteRulesSessionPersistenceCookieLifetimeType as Lifetime,
    HttpRouteRulesSessionPersistenceType as Carrier, HttpRouteRulesTimeouts as ApiTimeouts,
};
use gateway_ir::{CookieLifetime, Retry, SessionCarrier, SessionPersistence, Timeouts};
use http::StatusCode;

use super::syntax::header_name;

/// Reads timeouts; `0s` is none.
pub(crate) fn timeouts(timeouts: Option<&ApiTimeouts>) -> Result<Timeouts, String> {
    let Some(given) = timeouts else {
        return Ok(Timeouts::default());
    };
    let request = duration("timeouts.request", given.request.as_deref())?;
    let backend_request = duration("timeouts.backendRequest", given.backend_request.as_deref())?;
    if request.is_some_and(|request| backend_request.is_some_and(|it| it > request)) {
        return Err("timeouts.backendRequest is longer than timeouts.request".to_owned());
    }
    Ok(Timeouts {
        request,
        backend_request,
    })
}

/// Reads a retry.
pub(crate) fn retry(retry: Option<&ApiRetry>) -> Result<Option<Retry>, String> {
    let Some(given) = retry else {
        return Ok(None);
    };
    let mut seen = BTreeSet::new();
    let codes = given.codes.iter().flatten().map(|code| {
        if !seen.insert(*code) {
            return Err(format!("code {code} of retry is there twice"));
        }
        let status = u16::try_from(*code)
            .ok()
            .filter(|it| (400..600).contains(it));
        let status = status.and_then(|it| StatusCode::from_u16(it).ok());
        status.ok_or_else(|| format!("code {code} of retry is not in 400..=599"))
    });
    let attempts = given.attempts.unwrap_or(1);
    Ok(Some(Retry {
        codes: codes.collect::<Result<_, _>>()?,
        attempts: u32::try_from(attempts).map_err(|_out_of_range| {
            format!("retry.attempts {attempts} is not a number of tries")
        })?,
        backoff: duration("retry.backoff", given.backoff.as_deref())?,
    }))
}

/// Reads session persistence; `default_name` names the session of this rule when the route does not.
pub(crate) fn persistence(
    persistence: Option<&ApiPersistence>,
    default_name: &str,
) -> Result<Option<SessionPersistence>, String> {
    let Some(given) = persistence else {
        return Ok(None);
    };
    let absolute_timeout = duration(
        "sessionPersistence.absoluteTimeout",
        given.absolute_timeout.as_deref(),
    )?;
    let carrier = match (&given.r#type, &given.cookie, &given.header) {
        (None | Some(Carrier::Cookie), Some(cookie), None) => {
            let lifetime = match cookie.lifetime_type {
                None | Some(Lifetime::Session) => CookieLifetime::Session,
                Some(Lifetime::Permanent) if absolute_timeout.is_none() => {
                    return Err(
                        "a permanent cookie needs sessionPersistence.absoluteTimeout".to_owned(),
                    );
                }
                Some(Lifetime::Permanent) => CookieLifetime::Permanent,
            };
            let name = cookie.name.as_deref().unwrap_or(default_name);
            // Cookie names and header names are both tokens (RFC 6265 §4.1.1, RFC 9110 §5.1).
            header_name(name).map_err(|_invalid| format!("{name:?} is not a cookie name"))?;
            let path = cookie.path.as_deref().unwrap_or("/");
            if !path.starts_with('/')
                || path
                    .bytes()
                    .any(|byte| byte == b';' || !(b' '..=b'~').contains(&byte))
            {
                return Err(format!("{path:?} is not a path of a cookie"));
            }
            SessionCarrier::Cookie {
                name: name.to_owned(),
                path: path.to_owned(),
                lifetime,
            }
        }
        (Some(Carrier::Header), None, Some(header)) => SessionCarrier::Header {
            name: header_name(&header.name)?,
        },
        (None | Some(Carrier::Cookie | Carrier::Header), _, _) => {
            return Err("sessionPersistence has not exactly the field of its type".to_owned());
        }
    };
    Ok(Some(SessionPersistence {
        carrier,
        absolute_timeout,
    }))
}

/// Gateway API: GEP-2257; zero is no duration at all.
fn duration(field: &str, text: Option<&str>) -> Result<Option<Duration>, String> {
    let Some(text) = text else {
        return Ok(None);
    };
    let parsed = text.parse::<gateway_api::Duration>();
    let parsed =
        parsed.map_err(|_syntax| format!("{field} {text:?} is not a duration such as 500ms"))?;
    Ok((!parsed.is_zero()).then(|| Duration::new(parsed.as_secs(), parsed.subsec_nanos())))
}

#[cfg(test)]
mod tests;
