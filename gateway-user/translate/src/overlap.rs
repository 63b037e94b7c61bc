//! TLS listeners on one port whose names overlap (Gateway API: `OverlappingTLSConfig`).
//!
//! A client may send requests for one of them over an HTTP/2 connection to the other. The proxy answers those with 421;
//! the condition says that it can happen.

use std::collections::BTreeMap;

use gateway_ir::{HostPattern, ObjectName};

use crate::listener::{GatewayState, ListenerState};
use crate::model::{ListenerProtocol, Problem};
use crate::status::Reason;

/// Marks the listeners that overlap with another one of their Gateway.
pub(crate) fn find(gateways: &mut BTreeMap<ObjectName, GatewayState>) {
    for gateway in gateways.values_mut() {
        let mut by_port: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (index, listener) in gateway.listeners.iter().enumerate() {
            let is_tls = matches!(
                listener.model.protocol,
                ListenerProtocol::Https | ListenerProtocol::Tls
            );
            if let (true, true, Some((port, _))) = (is_tls, listener.is_valid(), listener.place()) {
                by_port.entry(port).or_default().push(index);
            }
        }
        for group in by_port.into_values() {
            let overlaps: Vec<(usize, Option<Problem>)> = group
                .iter()
                .map(|index| (*index, first(*index, &group, &gateway.listeners)))
                .collect();
            for (index, overlap) in overlaps {
                if let Some(listener) = gateway.listeners.get_mut(index) {
                    listener.overlap = overlap;
                }
            }
        }
    }
}

fn first(index: usize, group: &[usize], listeners: &[ListenerState]) -> Option<Problem> {
    let own = listeners.get(index)?;
    let others = group.iter().filter(|other| **other != index);
    let others: Vec<&ListenerState> = others.filter_map(|it| listeners.get(*it)).collect();
    let hostnames = others.iter().find(|other| {
        let pair = (own.place(), other.place());
        matches!(pair, (Some((_, a)), Some((_, b))) if a.intersection(b).is_some())
    });
    if let Some(other) = hostnames {
        let message = format!("the hostnames of listener {} overlap", other.id);
        return Some(Problem::new(Reason::OverlappingHostnames, message));
    }
    let names = certified(own);
    let certificates = others.iter().find(|other| {
        let theirs = certified(other);
        names
            .iter()
            .any(|name| theirs.iter().any(|it| it.intersection(name).is_some()))
    })?;
    let message = format!("the certificates of listener {} overlap", certificates.id);
    Some(Problem::new(Reason::OverlappingCertificates, message))
}

/// The names of a listener's certificates, as far as they are names.
fn certified(listener: &ListenerState) -> Vec<HostPattern> {
    let names = listener.certificates.iter().flat_map(|it| &it.names);
    names.filter_map(|name| name.parse().ok()).collect()
}
