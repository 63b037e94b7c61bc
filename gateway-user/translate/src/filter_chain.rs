//! Filters of a rule or a backendRef as a whole: what they mean to each other, and where mirrors lead.

use std::mem::discriminant;

use gateway_ir::{AuthProtocol, ExternalAuth, Filter, Match, Mirror, PathMatch, PathModifier};

use crate::backend::{Purpose, Referrer, Resolver};
use crate::model::{Problem, RouteFilter};

/// Compiled filters, and why the rest of them is not served.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) filters: Vec<Filter>,
    pub(crate) problems: Vec<String>,
}

/// Compiles filters; a mirror or an authorization that leads nowhere is `unresolved`: the one gets no copies, the other
/// lets nothing through.
pub(crate) fn compile(
    filters: &[Result<RouteFilter, String>],
    referrer: Referrer<'_>,
    resolver: &mut Resolver<'_>,
    unresolved: &mut Vec<Problem>,
) -> Chain {
    let mut chain = Chain::default();
    for filter in filters {
        match filter {
            Ok(RouteFilter::Ready(filter)) => chain.push(filter.clone()),
            Ok(RouteFilter::Mirror { backend, share }) => {
                let target = resolver.target(referrer, backend, unresolved);
                chain.push(Filter::RequestMirror(Mirror {
                    target,
                    share: *share,
                }));
            }
            Ok(RouteFilter::Auth {
                server,
                protocol,
                body_bytes_max,
            }) => {
                let purpose = match protocol {
                    AuthProtocol::Http { .. } => Purpose::Requests,
                    AuthProtocol::Grpc { .. } => Purpose::Calls,
                };
                let referrer = Referrer {
                    purpose,
                    ..referrer
                };
                let target = resolver.target(referrer, server, unresolved);
                chain.push(Filter::ExternalAuth(ExternalAuth {
                    target,
                    protocol: protocol.clone(),
                    body_bytes_max: *body_bytes_max,
                }));
            }
            Err(problem) => chain.problems.push(problem.clone()),
        }
    }
    let redirects = chain.filters.iter().any(is_redirect);
    let rewrites = chain
        .filters
        .iter()
        .any(|it| matches!(it, Filter::UrlRewrite(_)));
    if redirects && rewrites {
        let problem = "filters RequestRedirect and URLRewrite exclude each other";
        chain.problems.push(problem.to_owned());
    }
    chain
}

impl Chain {
    /// Gateway API: all but mirrors "MUST NOT be repeated within a filter chain".
    fn push(&mut self, filter: Filter) {
        let name = match filter {
            Filter::RequestMirror(_) => None,
            Filter::RequestHeaderModifier(_) => Some("RequestHeaderModifier"),
            Filter::ResponseHeaderModifier(_) => Some("ResponseHeaderModifier"),
            Filter::RequestRedirect(_) => Some("RequestRedirect"),
            Filter::UrlRewrite(_) => Some("URLRewrite"),
            Filter::Cors(_) => Some("CORS"),
            Filter::ExternalAuth(_) => Some("ExternalAuth"),
        };
        let mut others = self.filters.iter().map(discriminant);
        match name {
            Some(name) if others.any(|it| it == discriminant(&filter)) => {
                self.problems.push(format!("filter {name} is there twice"));
            }
            Some(_) | None => self.filters.push(filter),
        }
    }

    /// Whether a filter replaces the prefix that a match has found.
    pub(crate) fn replaces_prefix(&self) -> bool {
        self.filters.iter().any(|filter| {
            let path = match filter {
                Filter::RequestRedirect(redirect) => redirect.path.as_ref(),
                Filter::UrlRewrite(rewrite) => rewrite.path.as_ref(),
                Filter::RequestHeaderModifier(_)
                | Filter::ResponseHeaderModifier(_)
                | Filter::RequestMirror(_)
                | Filter::Cors(_)
                | Filter::ExternalAuth(_) => None,
            };
            matches!(path, Some(PathModifier::ReplacePrefixMatch(_)))
        })
    }

    /// Whether a filter answers with a redirect.
    pub(crate) fn redirects(&self) -> bool {
        self.filters.iter().any(is_redirect)
    }
}

fn is_redirect(filter: &Filter) -> bool {
    matches!(filter, Filter::RequestRedirect(_))
}

/// The CRD's rule: `ReplacePrefixMatch` goes with exactly one match, of type PathPrefix.
pub(crate) fn has_one_prefix(matches: &[Result<Match, String>]) -> bool {
    match matches {
        [Ok(only)] => matches!(only.path, PathMatch::Prefix(_)),
        // Reported as what it is.
        [Err(_)] => true,
        _ => false,
    }
}
