//! A Gateway's own certificate on its connections to endpoints (Gateway API: `GatewayBackendTLS`).
//!
//! What a route comes to does not depend on the Gateway, but for this: where a Gateway has a certificate, what leads
//! to TLS is made once more with it.

use std::sync::Arc;

use gateway_ir::{
    Backend, BackendTls, Certificate, Entry, Filter, Rule, StreamProgram, Target, WeightedBackend,
};

/// The entries as they are with a certificate; rules without TLS stay the same, and shared.
pub(crate) fn entries(entries: &[Arc<Entry>], certificate: &Arc<Certificate>) -> Vec<Arc<Entry>> {
    let mut last: Option<(Arc<Rule>, Arc<Rule>)> = None;
    let entries = entries.iter().map(|entry| {
        // The entries of a rule stand together.
        let known = last
            .as_ref()
            .filter(|(old, _)| Arc::ptr_eq(old, &entry.rule));
        let rule = match known {
            Some((_, new)) => Arc::clone(new),
            None => rule(&entry.rule, certificate),
        };
        last = Some((Arc::clone(&entry.rule), Arc::clone(&rule)));
        Arc::new(entry.with_rule(rule))
    });
    entries.collect()
}

/// A program as it is with a certificate.
pub(crate) fn stream(
    program: &Arc<StreamProgram>,
    certificate: &Arc<Certificate>,
) -> Arc<StreamProgram> {
    if !program.backends.iter().any(speaks_tls) {
        return Arc::clone(program);
    }
    Arc::new(StreamProgram {
        id: program.id.clone(),
        backends: backends(&program.backends, certificate),
    })
}

fn rule(rule: &Arc<Rule>, certificate: &Arc<Certificate>) -> Arc<Rule> {
    if !rule.backends.iter().any(speaks_tls) && !rule.filters.iter().any(leads_to_tls) {
        return Arc::clone(rule);
    }
    Arc::new(Rule {
        backends: backends(&rule.backends, certificate),
        filters: filters(&rule.filters, certificate),
        ..Rule::clone(rule)
    })
}

fn speaks_tls(backend: &WeightedBackend) -> bool {
    has_tls(&backend.target) || backend.filters.iter().any(leads_to_tls)
}

fn leads_to_tls(filter: &Filter) -> bool {
    match filter {
        Filter::RequestMirror(mirror) => has_tls(&mirror.target),
        Filter::ExternalAuth(auth) => has_tls(&auth.target),
        Filter::RequestHeaderModifier(_)
        | Filter::ResponseHeaderModifier(_)
        | Filter::RequestRedirect(_)
        | Filter::UrlRewrite(_)
        | Filter::Cors(_) => false,
    }
}

fn has_tls(target: &Target) -> bool {
    matches!(target, Target::Backend(backend) if backend.tls.is_some())
}

fn backends(backends: &[WeightedBackend], certificate: &Arc<Certificate>) -> Vec<WeightedBackend> {
    let backends = backends.iter().map(|it| WeightedBackend {
        weight: it.weight,
        target: target(&it.target, certificate),
        filters: filters(&it.filters, certificate),
    });
    backends.collect()
}

fn filters(filters: &[Filter], certificate: &Arc<Certificate>) -> Vec<Filter> {
    let mut filters = filters.to_vec();
    for filter in &mut filters {
        let own = match filter {
            Filter::RequestMirror(mirror) => &mut mirror.target,
            Filter::ExternalAuth(auth) => &mut auth.target,
            Filter::RequestHeaderModifier(_)
            | Filter::ResponseHeaderModifier(_)
            | Filter::RequestRedirect(_)
            | Filter::UrlRewrite(_)
            | Filter::Cors(_) => continue,
        };
        *own = target(own, certificate);
    }
    filters
}

fn target(target: &Target, certificate: &Arc<Certificate>) -> Target {
    let Target::Backend(backend) = target else {
        return target.clone();
    };
    let tls = backend.tls.as_ref().map(|tls| {
        Arc::new(BackendTls {
            client_certificate: Some(Arc::clone(certificate)),
            ..BackendTls::clone(tls)
        })
    });
    Target::Backend(Arc::new(Backend {
        tls,
        ..Backend::clone(backend)
    }))
}
