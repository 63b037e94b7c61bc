//! The conditions of Gateways.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_ir::ObjectName;

use crate::Settings;
use crate::condition::{refuse, resolved_with};
use crate::config::Addressing;
use crate::listener::{Addresses, GatewayState, ListenerState, Owner};
use crate::listener_status;
use crate::model::Problem;
use crate::set_status;
use crate::status::{Condition, ConditionStatus, ConditionType, Kind, ObjectStatus, Reason};
use crate::validity;

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
    let (meta, now) = (&gateway.model.meta, settings.time());
    let listeners = gateway.listeners_of(&Owner::Gateway);
    let listeners = listeners.map(|it| listener_status::status(it, gateway, addressing, now));
    let mut conditions = vec![accepted(gateway), programmed(gateway, addressing)];
    if let Some(certificate) = &gateway.client_certificate {
        let problem = certificate.as_ref().err().cloned();
        let remark = validity::remark(&gateway.client_validity, now);
        conditions.push(resolved_with(problem.as_slice(), remark));
    }
    if gateway.model.clients.is_insecure() {
        conditions.push(Condition::new(
            ConditionType::InsecureFrontendValidationMode,
            ConditionStatus::True,
            Reason::ConfigurationChanged,
            "clients without a valid certificate are let in (AllowInsecureFallback)",
        ));
    }
    let sets = gateway.sets.iter();
    let attached = sets.filter(|set| set_status::is_attached(set, gateway));
    ObjectStatus {
        conditions,
        addresses: addresses(gateway, settings),
        listeners: listeners.collect(),
        attached_listener_sets: (!gateway.sets.is_empty())
            .then(|| u32::try_from(attached.count()).unwrap_or(u32::MAX)),
        ..ObjectStatus::new(Kind::Gateway, &meta.name, meta.generation)
    }
}

fn accepted(gateway: &GatewayState) -> Condition {
    let kind = ConditionType::Accepted;
    if let Some(problem) = &gateway.refused {
        return refuse(kind, problem);
    }
    let own: Vec<&ListenerState> = gateway.listeners_of(&Owner::Gateway).collect();
    let bad = own.iter().filter(|it| !it.is_accepted());
    let bad: Vec<&str> = bad.map(|it| it.model.name.as_str()).collect();
    if bad.is_empty() && !own.is_empty() {
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
    let status = if bad.len() == own.len() {
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
        .map(|it| listener_status::unprogrammed(it, gateway, addressing));
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
            remarks(gateway),
        ),
    }
}

fn remarks(gateway: &GatewayState) -> String {
    let avoided = gateway.avoided.iter().map(|(address, mac)| {
        format!("{address} is set aside: another machine has it, with the MAC {mac}")
    });
    avoided.collect::<Vec<_>>().join("; ")
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
