//! Gateways.

use std::net::IpAddr;
use std::sync::Arc;

use gateway_api::experimental::gateways::{
    GatewayAddresses, GatewayAllowedListenersNamespaces,
    GatewayAllowedListenersNamespacesFrom as From, GatewayTlsFrontend,
    GatewayTlsFrontendDefaultValidation, GatewayTlsFrontendDefaultValidationMode as Mode,
};
use gateway_ir::ClientValidationMode;

use super::form::same_form;
use super::listener::{listener, selected};
use super::meta::meta;
use super::reference::named;
use crate::kinds;
use crate::model::{AddressWish, Clients, Gateway, Namespaces, ObjectRef, Validation};

pub(crate) fn gateway(gateway: &kinds::Gateway) -> Gateway {
    let meta = meta(&gateway.metadata);
    let namespace = &meta.name.namespace;
    let spec = &gateway.spec;
    let infrastructure = spec.infrastructure.as_ref();
    let parameters = infrastructure.and_then(|it| it.parameters_ref.as_ref());
    let tls = spec.tls.as_ref();
    let frontend = tls.and_then(|it| it.frontend.as_ref());
    let backend = tls.and_then(|it| it.backend.as_ref());
    let certificate = backend.and_then(|it| it.client_certificate_ref.as_ref());
    let allowed = spec.allowed_listeners.as_ref();
    let listeners = spec.listeners.iter();
    Gateway {
        class: spec.gateway_class_name.clone(),
        parameters: parameters.map(|it| ObjectRef {
            group: it.group.clone(),
            kind: it.kind.clone(),
            name: named(&it.name, None, namespace),
        }),
        wishes: spec.addresses.iter().flatten().map(wish).collect(),
        held: held(gateway),
        ignored: ignored(gateway),
        listeners: listeners.map(|it| listener(it, namespace)).collect(),
        allowed_sets: allowed_sets(allowed.and_then(|it| it.namespaces.as_ref())),
        clients: frontend.map_or_else(Clients::default, |it| clients(it, namespace)),
        client_certificate: certificate.map(|it| ObjectRef {
            group: it.group.clone().unwrap_or_default(),
            kind: it.kind.clone().unwrap_or_else(|| "Secret".to_owned()),
            name: named(&it.name, it.namespace.as_deref(), namespace),
        }),
        meta,
    }
}

fn ignored(gateway: &kinds::Gateway) -> Vec<&'static str> {
    let scope = gateway.spec.default_scope.as_ref();
    scope.map(|_| "defaultScope").into_iter().collect()
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

fn held(gateway: &kinds::Gateway) -> Vec<IpAddr> {
    let status = gateway.status.as_ref();
    let addresses = status.and_then(|it| it.addresses.as_ref());
    let addresses = addresses.into_iter().flatten();
    addresses.filter_map(|it| it.value.parse().ok()).collect()
}

fn clients(frontend: &GatewayTlsFrontend, namespace: &Arc<str>) -> Clients {
    let per_port = frontend.per_port.iter().flatten().filter_map(|it| {
        // The other copy of the same form can always be read; if not, no client is let in.
        let own = it.tls.validation.as_ref().map(|it| {
            same_form(it).map_or_else(|_| Validation::default(), |it| validation(&it, namespace))
        });
        Some((u16::try_from(it.port).ok()?, own))
    });
    let default = frontend.default.validation.as_ref();
    Clients {
        per_port: per_port.collect(),
        default: default.map(|it| validation(it, namespace)),
    }
}

fn validation(given: &GatewayTlsFrontendDefaultValidation, namespace: &Arc<str>) -> Validation {
    let references = given.ca_certificate_refs.iter().map(|it| ObjectRef {
        group: it.group.clone(),
        kind: it.kind.clone(),
        name: named(&it.name, it.namespace.as_deref(), namespace),
    });
    Validation {
        authorities: references.collect(),
        mode: match given.mode {
            None | Some(Mode::AllowValidOnly) => ClientValidationMode::AllowValidOnly,
            Some(Mode::AllowInsecureFallback) => ClientValidationMode::AllowInsecureFallback,
        },
    }
}

/// Who may attach ListenerSets; without a word: nobody.
fn allowed_sets(namespaces: Option<&GatewayAllowedListenersNamespaces>) -> Namespaces {
    let Some(given) = namespaces else {
        return Namespaces::None;
    };
    match given.from {
        None | Some(From::None) => Namespaces::None,
        Some(From::Same) => Namespaces::Same,
        Some(From::All) => Namespaces::All,
        Some(From::Selector) => selected(given.selector.as_ref()),
    }
}
