//! GRPCRoutes: rules of HTTP, in which service and method are the path.

use std::sync::Arc;

use gateway_crds::grpcroutes::{
    GrpcRouteRules, GrpcRouteRulesBackendRefs, GrpcRouteRulesMatches, GrpcRouteRulesMatchesMethod,
    GrpcRouteRulesMatchesMethodType as MethodType,
};
use gateway_crds::httproutes::HttpRouteRulesSessionPersistence;
use gateway_ir::{HeaderMatch, Match, PathMatch, Timeouts};

use super::filter::filters;
use super::form::same_form;
use super::http_route::{hostname, match_all, session_name};
use super::matching::{header, pattern};
use super::meta::meta;
use super::policy;
use super::reference::{backend_ref, parent_ref};
use crate::kinds::GrpcRoute;
use crate::model::{HttpBackendRef, HttpRule, Meta, Route};
use crate::status::Kind;

pub(crate) fn grpc_route(route: &GrpcRoute) -> Route<HttpRule> {
    let meta = meta(&route.metadata);
    let namespace = &meta.name.namespace;
    let parents = route.spec.parent_refs.iter().flatten();
    let hostnames = route.spec.hostnames.iter().flatten();
    // Without rules a GRPCRoute matches everything and leads nowhere, as an HTTPRoute does.
    let default = [GrpcRouteRules::default()];
    let rules = route.spec.rules.as_deref().unwrap_or(&default);
    let rules = rules.iter().enumerate();
    Route {
        kind: Kind::GrpcRoute,
        parents: parents.map(|it| parent_ref!(it, namespace)).collect(),
        hostnames: hostnames.map(|it| hostname(it)).collect(),
        rules: rules.map(|(index, it)| rule(it, index, &meta)).collect(),
        meta,
    }
}

fn rule(rule: &GrpcRouteRules, index: usize, meta: &Meta) -> HttpRule {
    let namespace = &meta.name.namespace;
    let matches = rule.matches.as_deref().unwrap_or_default();
    let backends = rule.backend_refs.iter().flatten();
    HttpRule {
        name: rule.name.clone(),
        matches: if matches.is_empty() {
            vec![Ok(match_all())]
        } else {
            matches.iter().map(matching).collect()
        },
        filters: filters(rule.filters.as_deref(), namespace),
        timeouts: Ok(Timeouts::default()),
        retry: Ok(None),
        persistence: persistence(rule, &session_name(meta, index)),
        backends: backends.map(|it| backend(it, namespace)).collect(),
    }
}

fn persistence(
    rule: &GrpcRouteRules,
    name: &str,
) -> Result<Option<gateway_ir::SessionPersistence>, String> {
    let given = rule.session_persistence.as_ref();
    let given: Option<HttpRouteRulesSessionPersistence> = given.map(same_form).transpose()?;
    policy::persistence(given.as_ref(), name)
}

fn backend(backend: &GrpcRouteRulesBackendRefs, namespace: &Arc<str>) -> HttpBackendRef {
    HttpBackendRef {
        filters: filters(backend.filters.as_deref(), namespace),
        reference: backend_ref!(backend, namespace),
    }
}

fn matching(matching: &GrpcRouteRulesMatches) -> Result<Match, String> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for it in matching.headers.iter().flatten() {
        let read = header(&same_form(it)?)?;
        // Gateway API: of equal names (in any case) only the first counts.
        if !headers.iter().any(|header| header.name == read.name) {
            headers.push(read);
        }
    }
    Ok(Match {
        path: path(matching.method.as_ref())?,
        headers,
        ..match_all()
    })
}

/// The path of a method (`/package.Service/Method`). What is left out matches everything.
fn path(method: Option<&GrpcRouteRulesMatchesMethod>) -> Result<PathMatch, String> {
    let Some(given) = method else {
        return Ok(match_all().path);
    };
    let service = given.service.as_deref().filter(|it| !it.is_empty());
    let method = given.method.as_deref().filter(|it| !it.is_empty());
    match given.r#type {
        None | Some(MethodType::Exact) => match (service, method) {
            (Some(service), Some(method)) => Ok(PathMatch::Exact(format!(
                "/{}/{}",
                service_name(service)?,
                method_name(method)?
            ))),
            (Some(service), None) => Ok(PathMatch::Prefix(format!("/{}", service_name(service)?))),
            // A name has no character that means something else in a regular expression.
            (None, Some(method)) => {
                Ok(PathMatch::Regex(format!("/[^/]+/{}", method_name(method)?)))
            }
            (None, None) => Err("a method match has neither service nor method".to_owned()),
        },
        Some(MethodType::RegularExpression) => {
            let any = "[^/]+";
            let service = service.map_or(Ok(any.to_owned()), pattern)?;
            let method = method.map_or(Ok(any.to_owned()), pattern)?;
            pattern(&format!("/(?:{service})/(?:{method})")).map(PathMatch::Regex)
        }
    }
}

/// The CRD's pattern of `GRPCMethodMatch.service`.
fn service_name(text: &str) -> Result<&str, String> {
    let labels = text.strip_prefix('.').unwrap_or(text).split('.');
    let mut labels = labels.map(is_identifier);
    labels
        .all(|is_identifier| is_identifier)
        .then_some(text)
        .ok_or_else(|| format!("{text:?} is not the name of a service"))
}

/// The CRD's pattern of `GRPCMethodMatch.method`.
fn method_name(text: &str) -> Result<&str, String> {
    is_identifier(text)
        .then_some(text)
        .ok_or_else(|| format!("{text:?} is not the name of a method"))
}

fn is_identifier(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.bytes().next().is_some_and(is_letter)
        && text
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit())
}
