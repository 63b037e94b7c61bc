//! Gateways and their listeners.

use std::net::IpAddr;

use gateway_api::experimental::gateways::{
    GatewayAddresses, GatewayListeners, GatewayListenersAllowedRoutesNamespaces,
    GatewayListenersAllowedRoutesNamespacesFrom as From,
    GatewayListenersAllowedRoutesNamespacesSelector, GatewayListenersTlsMode, GatewayTls,
};
use gateway_ir::{HostPattern, ObjectName};

use super::meta::{meta, operator};
use super::reference::{GATEWAY_GROUP, named};
use crate::kinds;
use crate::model::{
    AddressWish, ClientValidation, Gateway, Listener, ListenerProtocol, ListenerTls, Namespaces,
    ObjectRef, Operator, Requirement, Selector, TlsMode,
};

pub(crate) fn gateway(gateway: &kinds::Gateway) -> Gateway {
    let meta = meta(&gateway.metadata);
    let namespace = meta.name.namespace.clone();
    let infrastructure = gateway.spec.infrastructure.as_ref();
    let parameters = infrastructure.and_then(|it| it.parameters_ref.as_ref());
    let tls = gateway.spec.tls.as_ref();
    let listeners = gateway.spec.listeners.iter();
    Gateway {
        class: gateway.spec.gateway_class_name.clone(),
        parameters: parameters.map(|it| ObjectRef {
            group: it.group.clone(),
            kind: it.kind.clone(),
            name: ObjectName::new(&namespace, &it.name),
        }),
        wishes: gateway.spec.addresses.iter().flatten().map(wish).collect(),
        ignored: ignored(gateway),
        listeners: listeners.map(|it| listener(it, tls, &namespace)).collect(),
        meta,
    }
}

fn ignored(gateway: &kinds::Gateway) -> Vec<&'static str> {
    let spec = &gateway.spec;
    let infrastructure = spec.infrastructure.as_ref();
    let has_metadata =
        infrastructure.is_some_and(|it| it.labels.is_some() || it.annotations.is_some());
    let backend_tls = spec.tls.as_ref().is_some_and(|it| it.backend.is_some());
    let fields = [
        ("allowedListeners", spec.allowed_listeners.is_some()),
        ("defaultScope", spec.default_scope.is_some()),
        ("infrastructure.labels and annotations", has_metadata),
        ("tls.backend", backend_tls),
    ];
    fields
        .into_iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(name, _)| name)
        .collect()
}

fn wish(address: &GatewayAddresses) -> AddressWish {
    let kind = address.r#type.as_deref().unwrap_or("IPAddress");
    if kind != "IPAddress" {
        return AddressWish::Unsupported(format!("addresses of type {kind} are not served"));
    }
    let value = address.value.as_deref().unwrap_or_default();
    if value.is_empty() {
        return AddressWish::Any;
    }
    value.parse::<IpAddr>().map_or_else(
        |_syntax| AddressWish::Unsupported(format!("{value:?} is not an IP address")),
        AddressWish::Address,
    )
}

fn listener(listener: &GatewayListeners, tls: Option<&GatewayTls>, namespace: &str) -> Listener {
    let allowed = listener.allowed_routes.as_ref();
    let kinds = allowed.and_then(|it| it.kinds.as_ref());
    Listener {
        name: listener.name.clone(),
        port: u16::try_from(listener.port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("port {} is not in 1..=65535", listener.port)),
        protocol: match listener.protocol.as_str() {
            "HTTP" => ListenerProtocol::Http,
            "HTTPS" => ListenerProtocol::Https,
            "TCP" => ListenerProtocol::Tcp,
            "UDP" => ListenerProtocol::Udp,
            other => ListenerProtocol::Unsupported(other.to_owned()),
        },
        hostname: hostname(listener.hostname.as_deref().unwrap_or_default()),
        tls: listener_tls(listener, tls, namespace),
        kinds: kinds
            .into_iter()
            .flatten()
            .map(|it| {
                let group = it.group.clone();
                (
                    group.unwrap_or_else(|| GATEWAY_GROUP.to_owned()),
                    it.kind.clone(),
                )
            })
            .collect(),
        namespaces: namespaces(allowed.and_then(|it| it.namespaces.as_ref())),
    }
}

/// A hostname of a listener; empty: every name.
fn hostname(text: &str) -> Result<HostPattern, String> {
    if text.is_empty() {
        return Ok(HostPattern::Any);
    }
    text.parse::<HostPattern>()
        .map_err(|error| format!("hostname {text:?} is {error}"))
}

fn listener_tls(
    listener: &GatewayListeners,
    tls: Option<&GatewayTls>,
    namespace: &str,
) -> Option<ListenerTls> {
    let own = listener.tls.as_ref()?;
    Some(ListenerTls {
        mode: match own.mode {
            None | Some(GatewayListenersTlsMode::Terminate) => TlsMode::Terminate,
            Some(GatewayListenersTlsMode::Passthrough) => TlsMode::Passthrough,
        },
        certificates: own
            .certificate_refs
            .iter()
            .flatten()
            .map(|it| ObjectRef {
                group: it.group.clone().unwrap_or_default(),
                kind: it.kind.clone().unwrap_or_else(|| "Secret".to_owned()),
                name: named(&it.name, it.namespace.as_deref(), namespace),
            })
            .collect(),
        client_validation: client_validation(tls, listener.port),
    })
}

/// Gateway API: `FrontendTLSConfig`; what is said for a port replaces the default.
fn client_validation(tls: Option<&GatewayTls>, port: i32) -> ClientValidation {
    let Some(frontend) = tls.and_then(|it| it.frontend.as_ref()) else {
        return ClientValidation::Off;
    };
    let mut ports = frontend.per_port.iter().flatten();
    let wanted = match ports.find(|it| it.port == port) {
        Some(own) => own.tls.validation.is_some(),
        None => frontend.default.validation.is_some(),
    };
    if wanted {
        ClientValidation::Wanted
    } else {
        ClientValidation::Off
    }
}

fn namespaces(namespaces: Option<&GatewayListenersAllowedRoutesNamespaces>) -> Namespaces {
    let from = namespaces.and_then(|it| it.from.as_ref());
    let chosen = namespaces.and_then(|it| it.selector.as_ref());
    match from {
        None | Some(From::Same) => Namespaces::Same,
        Some(From::All) => Namespaces::All,
        // Gateway API: a selector is required with `Selector`; without one nothing is let in.
        Some(From::Selector) => {
            chosen.map_or(Namespaces::None, |it| Namespaces::Selector(selector(it)))
        }
    }
}

fn selector(selector: &GatewayListenersAllowedRoutesNamespacesSelector) -> Selector {
    let labels = selector.match_labels.iter().flatten();
    let equal = labels.map(|(key, value)| Requirement {
        key: key.clone(),
        operator: Operator::In,
        values: vec![value.clone()],
    });
    let expressions = selector.match_expressions.iter().flatten();
    let expressions = expressions.map(|it| Requirement {
        key: it.key.clone(),
        operator: operator(&it.operator),
        values: it.values.clone().unwrap_or_default(),
    });
    Selector {
        requirements: equal.chain(expressions).collect(),
    }
}
