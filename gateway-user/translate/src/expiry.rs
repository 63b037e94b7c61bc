//! What is said of all certificates in use that are outside of their time.

use std::collections::BTreeMap;

use gateway_ir::ObjectName;

use crate::listener::{GatewayState, Owner};
use crate::shadow::Warning;
use crate::status::{Kind, ObjectKey};
use crate::validity::Time;

/// What is wrong with them at a time, for all Gateways and ListenerSets, sorted.
pub(crate) fn warnings(gateways: &BTreeMap<ObjectName, GatewayState>, now: Time) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (name, gateway) in gateways {
        let own = ObjectKey {
            kind: Kind::Gateway,
            name: name.clone(),
        };
        for listener in &gateway.listeners {
            let object = match &listener.owner {
                Owner::Gateway => own.clone(),
                Owner::Set(set) => ObjectKey {
                    kind: Kind::ListenerSet,
                    name: set.clone(),
                },
            };
            let remarks = listener.validities.iter().filter_map(|it| it.remark(now));
            warnings.extend(remarks.map(|remark| Warning {
                object: object.clone(),
                message: format!("listener {}: {remark}", listener.model.name),
            }));
        }
        let shown = gateway.client_validity.iter();
        warnings.extend(shown.filter_map(|it| it.remark(now)).map(|remark| Warning {
            object: own.clone(),
            message: format!("tls.backend: {remark}"),
        }));
    }
    warnings.sort();
    warnings
}

/// The next time at which something else is to be said; none: never.
pub(crate) fn next_change(gateways: &BTreeMap<ObjectName, GatewayState>, now: Time) -> Option<i64> {
    let all = gateways.values().flat_map(|gateway| {
        let listeners = gateway.listeners.iter();
        let of_listeners = listeners.flat_map(|listener| &listener.validities);
        of_listeners.chain(&gateway.client_validity)
    });
    all.filter_map(|it| it.next_change(now)).min()
}
