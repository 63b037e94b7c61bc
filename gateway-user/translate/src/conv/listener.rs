//! Listeners of Gateways and ListenerSets.

use std::sync::Arc;

use gateway_api::experimental::gateways::{
    GatewayListeners, GatewayListenersAllowedRoutesNamespaces,
    GatewayListenersAllowedRoutesNamespacesFrom as From, GatewayListenersTls,
    GatewayListenersTlsMode,
};
use gateway_ir::HostPattern;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;

use super::form::same_form;
use super::meta::{meta, selector};
use super::reference::{GATEWAY_GROUP, named};
use crate::kinds;
use crate::model::{
    Listener, ListenerProtocol, ListenerSet, ListenerTls, Namespaces, ObjectRef, TlsMode,
};

pub(crate) fn listener_set(set: &kinds::ListenerSet) -> ListenerSet {
    let meta = meta(&set.metadata);
    let namespace = &meta.name.namespace;
    let parent = &set.spec.parent_ref;
    let listeners = set.spec.listeners.iter().map(|it| {
        // The other copy of the same form can always be read; if not, it keeps what tells it apart.
        let same = same_form(it).unwrap_or_else(|_| GatewayListeners {
            name: it.name.clone(),
            port: it.port,
            protocol: it.protocol.clone(),
            ..GatewayListeners::default()
        });
        listener(&same, namespace)
    });
    ListenerSet {
        parent: ObjectRef {
            group: parent
                .group
                .clone()
                .unwrap_or_else(|| GATEWAY_GROUP.to_owned()),
            kind: parent.kind.clone().unwrap_or_else(|| "Gateway".to_owned()),
            name: named(&parent.name, parent.namespace.as_deref(), namespace),
        },
        listeners: listeners.collect(),
        meta,
    }
}

/// Reads a listener; `namespace` is the one of the object that has it.
pub(crate) fn listener(listener: &GatewayListeners, namespace: &Arc<str>) -> Listener {
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
            "TLS" => ListenerProtocol::Tls,
            "TCP" => ListenerProtocol::Tcp,
            "UDP" => ListenerProtocol::Udp,
            other => ListenerProtocol::Unsupported(other.to_owned()),
        },
        hostname: hostname(listener.hostname.as_deref().unwrap_or_default()),
        tls: listener.tls.as_ref().map(|it| tls(it, namespace)),
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

fn tls(tls: &GatewayListenersTls, namespace: &Arc<str>) -> ListenerTls {
    let references = tls.certificate_refs.iter().flatten();
    ListenerTls {
        mode: match tls.mode {
            None | Some(GatewayListenersTlsMode::Terminate) => TlsMode::Terminate,
            Some(GatewayListenersTlsMode::Passthrough) => TlsMode::Passthrough,
        },
        certificates: references
            .map(|it| ObjectRef {
                group: it.group.clone().unwrap_or_default(),
                kind: it.kind.clone().unwrap_or_else(|| "Secret".to_owned()),
                name: named(&it.name, it.namespace.as_deref(), namespace),
            })
            .collect(),
    }
}

fn namespaces(namespaces: Option<&GatewayListenersAllowedRoutesNamespaces>) -> Namespaces {
    let from = namespaces.and_then(|it| it.from.as_ref());
    match from {
        None | Some(From::Same) => Namespaces::Same,
        Some(From::All) => Namespaces::All,
        Some(From::Selector) => selected(namespaces.and_then(|it| it.selector.as_ref())),
    }
}

/// Gateway API: a selector is required with `Selector`; without one nothing is let in.
pub(crate) fn selected<T: Serialize>(given: Option<&T>) -> Namespaces {
    let given = given.and_then(|it| same_form::<T, LabelSelector>(it).ok());
    given.map_or(Namespaces::None, |it| Namespaces::Selector(selector(&it)))
}
