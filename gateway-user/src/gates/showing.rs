//! What gate 1 does, in words: for the log, `sanmon get owners` and conditions. Pure but for the log.

use std::net::IpAddr;
use std::time::Duration;

use gateway_announce::membership::Basis;
use gateway_announce::{Decision, Ownership};
use gateway_ir::{NodeName, Vip};
use tracing::{info, warn};

use crate::board::Owner;

/// Two nodes that answered for one address are told of for this time.
const RIVAL_MEMORY: Duration = Duration::from_secs(60);

/// Says what is new about a VIP.
pub(super) fn log(last: Option<&Ownership>, owner: &Ownership, node: Option<&NodeName>) {
    let vip = owner.vip;
    if last.map(|it| it.decision) != Some(owner.decision) {
        match owner.decision {
            Decision::Announce => info!(%vip, interfaces = ?owner.interfaces, "announced"),
            Decision::Yield(_) => info!(%vip, ?node, "announced by another node"),
            Decision::Withhold(reason) => warn!(%vip, %reason, "not announced"),
        }
    }
    if let Some(conflict) = owner.conflict
        && last.and_then(|it| it.conflict).map(|it| it.mac) != Some(conflict.mac)
    {
        warn!(%vip, mac = %conflict.mac, "another machine claims the address");
    }
    if owner.rival.is_some() && last.and_then(|it| it.rival) != owner.rival {
        warn!(%vip, "the other node has answered for the address as well");
    }
}

/// The same for the admin server; `offset` is the time of day when the monotonic clock was zero.
pub(super) fn owner(
    ownership: &Ownership,
    vip: Option<&Vip>,
    node: Option<NodeName>,
    offset: Duration,
) -> Owner {
    let withheld = match ownership.decision {
        Decision::Announce | Decision::Yield(_) => None,
        Decision::Withhold(reason) => Some(reason.to_string()),
    };
    Owner {
        address: ownership.vip,
        gateway: vip.map(|it| it.gateway.to_string()),
        pool: vip.map(|it| it.pool.clone()),
        node,
        since_ms: Some((offset + ownership.since).as_millis()),
        interfaces: ownership.interfaces.clone(),
        why: why(ownership).to_owned(),
        conflict: ownership.conflict.map(|it| it.mac.to_string()),
        withheld,
    }
}

fn why(ownership: &Ownership) -> &'static str {
    match (ownership.decision, ownership.basis) {
        (Decision::Announce, Some(Basis::Alone)) => "this is the only node",
        (Decision::Announce, Some(Basis::Witnesses)) => {
            "the other node is not heard, and the witnesses answer this one"
        }
        (Decision::Announce, Some(Basis::Majority) | None) => {
            "a majority of the voters has granted it"
        }
        (Decision::Yield(_), _) => "the voters say so",
        (Decision::Withhold(_), _) => "",
    }
}

/// What an operator should know of a VIP: why it is silent, and who else answers for it.
pub(super) fn troubles(ownership: &Ownership, now: Duration) -> Vec<(IpAddr, String)> {
    let vip = ownership.vip;
    let mut troubles = Vec::new();
    match ownership.decision {
        Decision::Withhold(reason) => troubles.push(format!("{vip} is not announced: {reason}")),
        Decision::Announce | Decision::Yield(_) => {}
    }
    let conflict = ownership.conflict.filter(|it| it.is_fresh(now));
    if let (Decision::Announce, Some(conflict)) = (ownership.decision, conflict) {
        troubles.push(format!(
            "{vip} is claimed by another machine, with the MAC {}; it is defended",
            conflict.mac
        ));
    }
    if ownership
        .rival
        .is_some_and(|at| now.saturating_sub(at) < RIVAL_MEMORY)
    {
        troubles.push(format!(
            "both nodes have answered for {vip}: they did not hear each other, and neither the router nor the API server could tell them; name witnesses in the SanmonConfig"
        ));
    }
    troubles.into_iter().map(|text| (vip, text)).collect()
}
