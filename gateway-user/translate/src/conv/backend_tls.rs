//! BackendTLSPolicies.

use std::sync::Arc;

use gateway_api::backendtlspolicies::{
    BackendTlsPolicyValidation as Validation, BackendTlsPolicyValidationSubjectAltNames as AltName,
    BackendTlsPolicyValidationSubjectAltNamesType as AltNameType,
};
use gateway_ir::{HostPattern, SubjectName};

use super::meta::meta;
use super::reference::named;
use crate::kinds::BackendTlsPolicy;
use crate::model::{Authorities, BackendPolicy, ObjectRef, PolicyTarget};

pub(crate) fn policy(policy: &BackendTlsPolicy) -> BackendPolicy {
    let meta = meta(&policy.metadata);
    let namespace = &meta.name.namespace;
    let validation = &policy.spec.validation;
    let names = validation.subject_alt_names.iter().flatten();
    let targets = policy.spec.target_refs.iter().map(|it| PolicyTarget {
        target: ObjectRef {
            group: it.group.clone(),
            kind: it.kind.clone(),
            name: named(&it.name, None, namespace),
        },
        section: it.section_name.clone().filter(|name| !name.is_empty()),
    });
    BackendPolicy {
        targets: targets.collect(),
        hostname: hostname(&validation.hostname),
        names: names.map(subject_name).collect(),
        authorities: authorities(validation, namespace),
        meta,
    }
}

/// Gateway API: `PreciseHostname`.
fn hostname(text: &str) -> Result<String, String> {
    match text.parse() {
        Ok(HostPattern::Exact(name)) => Ok(name),
        Ok(HostPattern::Wildcard(_) | HostPattern::Any) | Err(_) => {
            Err(format!("validation.hostname {text:?} is not a DNS name"))
        }
    }
}

/// Gateway API: either `caCertificateRefs` or `wellKnownCACertificates`.
fn authorities(validation: &Validation, namespace: &Arc<str>) -> Result<Authorities, String> {
    let references = validation.ca_certificate_refs.as_deref();
    let references = references.unwrap_or_default();
    match (references, validation.well_known_ca_certificates.as_deref()) {
        ([], Some("System")) => Ok(Authorities::System),
        ([], Some(other)) => Err(format!("wellKnownCACertificates {other:?} is not served")),
        ([_, ..], None | Some("")) => {
            let references = references.iter().map(|it| ObjectRef {
                group: it.group.clone(),
                kind: it.kind.clone(),
                name: named(&it.name, None, namespace),
            });
            Ok(Authorities::References(references.collect()))
        }
        ([], None) => Err("validation has no caCertificateRefs".to_owned()),
        ([_, ..], Some(_)) => {
            Err("validation has both caCertificateRefs and wellKnownCACertificates".to_owned())
        }
    }
}

fn subject_name(name: &AltName) -> Result<SubjectName, String> {
    let hostname = name.hostname.as_deref().filter(|it| !it.is_empty());
    let uri = name.uri.as_deref().filter(|it| !it.is_empty());
    match (&name.r#type, hostname, uri) {
        (AltNameType::Hostname, Some(hostname), None) => hostname
            .parse::<HostPattern>()
            .map(|pattern| SubjectName::Dns(pattern.to_string()))
            .map_err(|error| format!("subjectAltNames: {hostname:?} is {error}")),
        (AltNameType::Uri, None, Some(uri)) if uri.contains(':') => {
            Ok(SubjectName::Uri(uri.to_owned()))
        }
        (AltNameType::Uri, None, Some(uri)) => {
            Err(format!("subjectAltNames: {uri:?} is not a URI"))
        }
        (AltNameType::Hostname | AltNameType::Uri, _, _) => {
            Err("subjectAltNames: an entry has not exactly the field of its type".to_owned())
        }
    }
}
