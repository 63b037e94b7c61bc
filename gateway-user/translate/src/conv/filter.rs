//! Filters of HTTPRoutes.

use gateway_api::experimental::httproutes::{
    HttpRouteRulesBackendRefsFilters, HttpRouteRulesBackendRefsFiltersType as BackendFilterType,
    HttpRouteRulesFilters, HttpRouteRulesFiltersRequestHeaderModifier as Modifier,
    HttpRouteRulesFiltersType as FilterType,
};
use gateway_ir::{Filter, HeaderEdits};
use http::{HeaderName, HeaderValue};

/// Reads a filter of a rule, or says why it is not served.
pub(crate) fn filter(filter: &HttpRouteRulesFilters) -> Result<Filter, String> {
    let unsupported = match filter.r#type {
        FilterType::RequestHeaderModifier => {
            let modifier = filter.request_header_modifier.as_ref();
            let modifier =
                modifier.ok_or("filter RequestHeaderModifier has no requestHeaderModifier")?;
            return header_edits(modifier).map(Filter::RequestHeaderModifier);
        }
        FilterType::ResponseHeaderModifier => "ResponseHeaderModifier",
        FilterType::RequestMirror => "RequestMirror",
        FilterType::RequestRedirect => "RequestRedirect",
        FilterType::UrlRewrite => "URLRewrite",
        FilterType::ExtensionRef => "ExtensionRef",
        FilterType::Cors => "CORS",
        FilterType::ExternalAuth => "ExternalAuth",
    };
    Err(format!("filter {unsupported} is not served"))
}

/// The name of a backendRef's filter.
pub(crate) fn backend_filter_name(filter: &HttpRouteRulesBackendRefsFilters) -> &'static str {
    match filter.r#type {
        BackendFilterType::RequestHeaderModifier => "RequestHeaderModifier",
        BackendFilterType::ResponseHeaderModifier => "ResponseHeaderModifier",
        BackendFilterType::RequestMirror => "RequestMirror",
        BackendFilterType::RequestRedirect => "RequestRedirect",
        BackendFilterType::UrlRewrite => "URLRewrite",
        BackendFilterType::ExtensionRef => "ExtensionRef",
        BackendFilterType::Cors => "CORS",
        BackendFilterType::ExternalAuth => "ExternalAuth",
    }
}

fn header_edits(modifier: &Modifier) -> Result<HeaderEdits, String> {
    let set = modifier.set.iter().flatten();
    let add = modifier.add.iter().flatten();
    let remove = modifier.remove.iter().flatten();
    Ok(HeaderEdits {
        set: set
            .map(|it| header(&it.name, &it.value))
            .collect::<Result<_, _>>()?,
        add: add
            .map(|it| header(&it.name, &it.value))
            .collect::<Result<_, _>>()?,
        remove: remove
            .map(|name| header_name(name))
            .collect::<Result<_, _>>()?,
    })
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderValue::from_str(value);
    let value = parsed.map_err(|_invalid| format!("the value of header {name} is not one"))?;
    Ok((header_name(name)?, value))
}

/// Reads a header name; any case will do.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_invalid| format!("{name:?} is not a header name"))
}
