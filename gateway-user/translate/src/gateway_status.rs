//! The conditions of Gateways and their listeners.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_ir::ObjectName;

use crate::Settings;
use crate::config::Addressing;
use crate::listener::{Addresses, GatewayState, ListenerState};
use crate::model::{ListenerProtocol, Problem};
use crate::routes::resolved;
use crate::status::{
    Condition, ConditionStatus, ConditionType, Kind, ListenerStatus, ObjectKey, ObjectStatus,
    Reason,
};

/// The statuses of all Gateways.
pub(crate) fn statuses(
    gateways: &BTreeMap<ObjectName, GatewayState>,
    addressing: &Addressing,
    settings: &Settings,
) -> Vec<ObjectStatus> {
    let gateways = gateways.values();
    gateways
        .map(|it| gateway(it, addressing, settings))
        .collect()
}

fn gateway(gateway: &GatewayState, addressing: &Addressing, settings: &Settings) -> ObjectStatus {
    let meta = &gateway.model.meta;
    let listeners = gateway
        .listeners
        .iter()
        .map(|it| listener(it, gateway, addressing));
    ObjectStatus {
        object: ObjectKey {
            kind: Kind::Gateway,
            name: meta.name.clone(),
        },
        generation: meta.generation,
        conditions: vec![accepted(gateway), programmed(gateway, addressing)],
        addresses: addresses(gateway, settings),
        listeners: listeners.collect(),
        parents: Vec::new(),
    }
}

fn accepted(gateway: &GatewayState) -> Condition {
    let kind = ConditionType::Accepted;
    if let Some(problem) = &gateway.refused {
        return refuse(kind, problem);
    }
    let bad = gateway.listeners.iter().filter(|it| !it.is_accepted());
    let bad: Vec<&str> = bad.map(|it| it.model.name.as_str()).collect();
    if bad.is_empty() && !gateway.listeners.is_empty() {
        let ignored = &gateway.model.ignored;
        let message = if ignored.is_empty() {
            String::new()
        } else {
            format!(
                "without effect, as it is not served: {}",
                ignored.join(", ")
            )
        };
        return Condition::new(kind, ConditionStatus::True, Reason::Accepted, message);
    }
    let message = format!("not accepted: listener {}", bad.join(", "));
    // Gateway API: a Gateway with one good listener is accepted all the same.
    let status = if bad.len() == gateway.listeners.len() {
        ConditionStatus::False
    } else {
        ConditionStatus::True
    };
    Condition::new(kind, status, Reason::ListenersNotValid, message)
}

fn programmed(gateway: &GatewayState, addressing: &Addressing) -> Condition {
    let kind = ConditionType::Programmed;
    if gateway.refused.is_some() {
        return refuse(
            kind,
            &Problem::new(Reason::Invalid, "the Gateway is not accepted"),
        );
    }
    if let Some(problem) = &gateway.unassigned {
        return refuse(kind, problem);
    }
    let problems = gateway
        .listeners
        .iter()
        .map(|it| unprogrammed(it, gateway, addressing));
    let problems: Option<Vec<Problem>> = problems.collect();
    match problems {
        // Every listener has a problem.
        Some(problems) => {
            let message = problems.first().map(|it| it.message.as_str());
            let message = format!(
                "no listener is programmed: {}",
                message.unwrap_or("there is none")
            );
            refuse(kind, &Problem::new(Reason::Invalid, message))
        }
        None => Condition::new(
            kind,
            ConditionStatus::True,
            Reason::Programmed,
            ipv6_remark(gateway),
        ),
    }
}

/// Says what is known not to work yet rather than nothing.
fn ipv6_remark(gateway: &GatewayState) -> &'static str {
    match &gateway.addresses {
        Addresses::Vips(vips) if vips.iter().any(|vip| vip.address.is_ipv6()) => {
            "IPv6 addresses are assigned, but not announced or steered yet"
        }
        Addresses::Vips(_) | Addresses::Local(_) | Addresses::None => "",
    }
}

fn listener(
    listener: &ListenerState,
    gateway: &GatewayState,
    addressing: &Addressing,
) -> ListenerStatus {
    let problem = listener.conflict.as_ref().or(listener.rejected.as_ref());
    let accepted = match problem {
        None => Condition::new(
            ConditionType::Accepted,
            ConditionStatus::True,
            Reason::Accepted,
            "",
        ),
        Some(problem) => refuse(ConditionType::Accepted, problem),
    };
    let programmed = match unprogrammed(listener, gateway, addressing) {
        None => Condition::new(
            ConditionType::Programmed,
            ConditionStatus::True,
            Reason::Programmed,
            "",
        ),
        Some(problem) => refuse(ConditionType::Programmed, &problem),
    };
    let conflicted = match &listener.conflict {
        None => Condition::new(
            ConditionType::Conflicted,
            ConditionStatus::False,
            Reason::NoConflicts,
            "",
        ),
        Some(Problem { reason, message }) => Condition::new(
            ConditionType::Conflicted,
            ConditionStatus::True,
            *reason,
            message,
        ),
    };
    ListenerStatus {
        name: listener.model.name.clone(),
        supported_kinds: listener.supported.clone(),
        attached_routes: u32::try_from(listener.routes.len()).unwrap_or(u32::MAX),
        conditions: vec![
            accepted,
            resolved(&listener.unresolved),
            programmed,
            conflicted,
        ],
    }
}

/// Why the data planes do not run a listener.
fn unprogrammed(
    listener: &ListenerState,
    gateway: &GatewayState,
    addressing: &Addressing,
) -> Option<Problem> {
    if let Some(conflict) = &listener.conflict {
        return Some(conflict.clone());
    }
    let invalid = |message: &str| Some(Problem::new(Reason::Invalid, message));
    if listener.rejected.is_some() {
        return invalid("the listener is not accepted");
    }
    if gateway.refused.is_some() {
        return invalid("the Gateway is not accepted");
    }
    if !listener.is_valid() {
        return invalid("the listener has no valid certificate");
    }
    let is_l4 = matches!(
        listener.model.protocol,
        ListenerProtocol::Tcp | ListenerProtocol::Udp
    );
    match (&gateway.addresses, addressing) {
        (Addresses::None, _) => {
            let problem = gateway.unassigned.as_ref();
            let message = problem.map(|it| it.message.clone()).unwrap_or_default();
            Some(Problem::new(Reason::Pending, message))
        }
        (Addresses::Local(_), Addressing::Local(why)) if is_l4 => {
            let message = format!("TCP and UDP need an announced address: {why}");
            Some(Problem::new(Reason::Pending, message))
        }
        (Addresses::Vips(vips), _) if vips.iter().all(|vip| vip.address.is_ipv6()) => {
            let message =
                "IPv6 addresses are not announced or steered yet: ask for an IPv4 address";
            Some(Problem::new(Reason::Pending, message))
        }
        (Addresses::Local(_) | Addresses::Vips(_), _) => None,
    }
}

fn addresses(gateway: &GatewayState, settings: &Settings) -> Vec<IpAddr> {
    match &gateway.addresses {
        Addresses::None => Vec::new(),
        Addresses::Vips(vips) => vips.iter().map(|vip| vip.address).collect(),
        Addresses::Local(addresses) if addresses.is_empty() => {
            // It listens everywhere; the loopback address helps only where there is no other.
            let own = settings.own_addresses.iter().copied();
            let mut own: Vec<IpAddr> = own.filter(|address| !address.is_loopback()).collect();
            own.sort_unstable();
            own
        }
        Addresses::Local(addresses) => addresses.clone(),
    }
}

fn refuse(kind: ConditionType, problem: &Problem) -> Condition {
    Condition::new(
        kind,
        ConditionStatus::False,
        problem.reason,
        &problem.message,
    )
}
