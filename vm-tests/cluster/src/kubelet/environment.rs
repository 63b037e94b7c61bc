//! The environment of a container, and what `$(NAME)` means in its arguments.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;

use crate::identity::PORT;

/// What a pod knows of itself once it has a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The pod's address.
    pub(super) pod: Ipv4Addr,
    /// The node's address.
    pub(super) node: Ipv4Addr,
    /// The node's name.
    pub(super) node_name: &'a str,
    /// Where the API server is.
    pub(super) api_server: Ipv4Addr,
}

/// The environment of a container; nothing of this process's own is in it.
pub(super) fn environment(
    pod: &Pod,
    container: &Container,
    place: Place<'_>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::from([
        (
            "PATH".to_owned(),
            "/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("HOSTNAME".to_owned(), pod.name_any()),
        // No ClusterIP is routed, so that this is the API server's own address.
        (
            "KUBERNETES_SERVICE_HOST".to_owned(),
            place.api_server.to_string(),
        ),
        ("KUBERNETES_SERVICE_PORT".to_owned(), PORT.to_string()),
    ]);
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => expand(value, &variables),
            (None, None) => String::new(),
            (None, Some(source)) => {
                let field = source.field_ref.as_ref().with_context(|| {
                    format!("variable {}: only fieldRef is known here", variable.name)
                })?;
                field_of(pod, &field.field_path, place)?
            }
        };
        variables.insert(variable.name.clone(), value);
    }
    Ok(variables)
}

/// A field of the downward API.
pub(super) fn field_of(pod: &Pod, path: &str, place: Place<'_>) -> anyhow::Result<String> {
    let account = || {
        pod.spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.clone())
    };
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "spec.nodeName" => place.node_name.to_owned(),
        "spec.serviceAccountName" => account().unwrap_or_default(),
        "status.podIP" | "status.podIPs" => place.pod.to_string(),
        "status.hostIP" | "status.hostIPs" => place.node.to_string(),
        other => bail!("the field {other} is not known here"),
    })
}

/// Replaces `$(NAME)` for each known variable; `$$` is a dollar sign.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        let name = after
            .strip_prefix('(')
            .and_then(|name| name.split_once(')'));
        let known = name.and_then(|(name, end)| Some((variables.get(name)?, end)));
        rest = match (known, after.strip_prefix('$')) {
            (Some((value, end)), _) => {
                result.push_str(value);
                end
            }
            (None, Some(end)) => {
                result.push('$');
                end
            }
            (None, None) => {
                result.push('$');
                after
            }
        };
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_variables_are_replaced_and_the_rest_is_left() {
        let variables = BTreeMap::from([("NODE".to_owned(), "node-1".to_owned())]);

        assert_eq!(expand("--node=$(NODE)", &variables), "--node=node-1");
        assert_eq!(
            expand("$(OTHER) $x $$(NODE) $", &variables),
            "$(OTHER) $x $(NODE) $"
        );
    }
}
