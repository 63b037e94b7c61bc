//! The conditions of listeners, whoever has them.

use crate::condition::{refuse, resolved_with};
use crate::config::Addressing;
use crate::listener::{Addresses, GatewayState, ListenerState};
use crate::model::{ListenerProtocol, Problem};
use crate::status::{Condition, ConditionStatus, ConditionType, ListenerStatus, Reason};
use crate::validity::{self, Time};

/// The status of a listener, of a Gateway or of a ListenerSet.
pub(crate) fn status(
    listener: &ListenerState,
    gateway: &GatewayState,
    addressing: &Addressing,
    now: Time,
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
    let remark = validity::remark(&listener.validities, now);
    let resolved = resolved_with(&listener.unresolved, remark);
    let mut conditions = vec![accepted, resolved, programmed, conflicted];
    conditions.extend(
        listener
            .overlap
            .as_ref()
            .map(|Problem { reason, message }| {
                let (kind, status) = (ConditionType::OverlappingTlsConfig, ConditionStatus::True);
                Condition::new(kind, status, *reason, message)
            }),
    );
    ListenerStatus {
        name: listener.model.name.clone(),
        supported_kinds: listener.supported.clone(),
        attached_routes: u32::try_from(listener.routes.len()).unwrap_or(u32::MAX),
        conditions,
    }
}

/// Why the data planes do not run a listener.
pub(crate) fn unprogrammed(
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
        (Addresses::Local(_) | Addresses::Vips(_), _) => None,
    }
}
