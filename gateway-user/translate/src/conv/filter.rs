//! Filters of HTTPRoutes and GRPCRoutes, on rules and on backendRefs.
//!
//! Each is checked by itself as the CRD would; what filters mean to each other is checked in `filter_chain`.

mod auth;
mod cors;
mod headers;
mod location;

use std::sync::Arc;

use gateway_crds::httproutes::{
    HttpRouteRulesFilters as ApiFilter, HttpRouteRulesFiltersRequestMirror as ApiMirror,
    HttpRouteRulesFiltersType as FilterType,
};
use gateway_ir::{Filter, Fraction};
use serde::Serialize;

use super::form::same_form;
use super::reference::{backend, named};
use crate::model::RouteFilter;

/// Reads the filters of any place, in their order; a filter that is not served says why.
pub(crate) fn filters<T: Serialize>(
    filters: Option<&[T]>,
    namespace: &Arc<str>,
) -> Vec<Result<RouteFilter, String>> {
    let filters = filters.unwrap_or_default().iter();
    filters
        .map(|it| filter(&same_form(it)?, namespace))
        .collect()
}

fn filter(it: &ApiFilter, namespace: &Arc<str>) -> Result<RouteFilter, String> {
    let name = name(&it.r#type);
    if let Some(other) = set_fields(it).into_iter().find(|field| *field != name) {
        return Err(format!("filter {name} has the field of filter {other}"));
    }
    let missing = || format!("filter {name} has no field of its own");
    let filter = match it.r#type {
        FilterType::RequestHeaderModifier => {
            let own = it.request_header_modifier.as_ref().ok_or_else(missing)?;
            Filter::RequestHeaderModifier(headers::edits(own)?)
        }
        FilterType::ResponseHeaderModifier => {
            let own = it.response_header_modifier.as_ref().ok_or_else(missing)?;
            Filter::ResponseHeaderModifier(headers::edits(&same_form(own)?)?)
        }
        FilterType::RequestRedirect => {
            let own = it.request_redirect.as_ref().ok_or_else(missing)?;
            Filter::RequestRedirect(location::redirect(own)?)
        }
        FilterType::UrlRewrite => {
            let own = it.url_rewrite.as_ref().ok_or_else(missing)?;
            Filter::UrlRewrite(location::rewrite(own)?)
        }
        FilterType::Cors => Filter::Cors(cors::cors(it.cors.as_ref().ok_or_else(missing)?)?),
        FilterType::RequestMirror => {
            let own = it.request_mirror.as_ref().ok_or_else(missing)?;
            return mirror(own, namespace);
        }
        FilterType::ExtensionRef => {
            let own = it.extension_ref.as_ref().ok_or_else(missing)?;
            return Err(format!(
                "filter ExtensionRef names {} {} of group {:?}, which is not served",
                own.kind, own.name, own.group
            ));
        }
        FilterType::ExternalAuth => {
            let own = it.external_auth.as_ref().ok_or_else(missing)?;
            return auth::auth(own, namespace);
        }
    };
    Ok(RouteFilter::Ready(filter))
}

fn name(kind: &FilterType) -> &'static str {
    match kind {
        FilterType::RequestHeaderModifier => "RequestHeaderModifier",
        FilterType::ResponseHeaderModifier => "ResponseHeaderModifier",
        FilterType::RequestMirror => "RequestMirror",
        FilterType::RequestRedirect => "RequestRedirect",
        FilterType::UrlRewrite => "URLRewrite",
        FilterType::ExtensionRef => "ExtensionRef",
        FilterType::Cors => "CORS",
        FilterType::ExternalAuth => "ExternalAuth",
    }
}

/// The filters whose fields are set.
fn set_fields(it: &ApiFilter) -> Vec<&'static str> {
    let fields = [
        (FilterType::Cors, it.cors.is_some()),
        (FilterType::ExtensionRef, it.extension_ref.is_some()),
        (FilterType::ExternalAuth, it.external_auth.is_some()),
        (
            FilterType::RequestHeaderModifier,
            it.request_header_modifier.is_some(),
        ),
        (FilterType::RequestMirror, it.request_mirror.is_some()),
        (FilterType::RequestRedirect, it.request_redirect.is_some()),
        (
            FilterType::ResponseHeaderModifier,
            it.response_header_modifier.is_some(),
        ),
        (FilterType::UrlRewrite, it.url_rewrite.is_some()),
    ];
    let set = fields.iter().filter(|(_, is_set)| *is_set);
    set.map(|(kind, _)| name(kind)).collect()
}

fn mirror(mirror: &ApiMirror, namespace: &Arc<str>) -> Result<RouteFilter, String> {
    let target = &mirror.backend_ref;
    Ok(RouteFilter::Mirror {
        backend: backend(
            target.group.as_deref(),
            target.kind.as_deref(),
            named(&target.name, target.namespace.as_deref(), namespace),
            target.port,
            None,
        ),
        share: share(mirror)?,
    })
}

/// Gateway API: of `percent` and `fraction` at most one; without either every request is mirrored.
fn share(mirror: &ApiMirror) -> Result<Fraction, String> {
    let (numerator, denominator) = match (mirror.percent, &mirror.fraction) {
        (None, None) => return Ok(Fraction::ALL),
        (Some(percent), None) => (percent, 100),
        (None, Some(fraction)) => (fraction.numerator, fraction.denominator.unwrap_or(100)),
        (Some(_), Some(_)) => {
            return Err("filter RequestMirror has both percent and fraction".to_owned());
        }
    };
    let parsed = u32::try_from(numerator).and_then(|numerator| {
        u32::try_from(denominator).map(|denominator| Fraction {
            numerator,
            denominator,
        })
    });
    parsed
        .ok()
        .filter(|it| it.denominator > 0 && it.numerator <= it.denominator)
        .ok_or_else(|| {
            format!("filter RequestMirror: {numerator} of {denominator} is not a share of requests")
        })
}

#[cfg(test)]
mod tests;
