//! What gate 1 does, in words: for the log, `sanmon get owners` and conditions. Pure but for the log.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use gateway_announce::membership::Basis;
use gateway_announce::membership::heartbeat::{Course, Foreign};
use gateway_announce::{Decision, Ownership, Reason};
use gateway_ir::{
    Choice, ConflictPolicy, GateReport, Generation, ListenerFailure, Mac, NodeName, Snapshot, Vip,
};
use tracing::{info, warn};

use crate::board::{Contest, Owner};

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

/// Says which addresses are set aside now, or no longer.
pub(super) fn log_aside(last: &BTreeMap<IpAddr, Mac>, aside: &BTreeMap<IpAddr, Mac>) {
    for (address, mac) in aside.iter().filter(|it| !last.contains_key(it.0)) {
        warn!(%address, %mac, "set aside: another machine has the address");
    }
    for address in last.keys().filter(|it| !aside.contains_key(it)) {
        info!(%address, "not set aside any more");
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
        conflict: ownership.foreign.map(|it| it.mac.to_string()),
        contest: ownership.foreign.map(|it| match it.course {
            Course::Defended => Contest::Defended,
            Course::Withheld => Contest::Withheld,
            Course::SetAside => Contest::SetAside,
        }),
        withheld,
    }
}

/// An address that no Gateway has because another machine has it.
pub(super) fn aside(address: IpAddr, mac: Mac) -> Owner {
    Owner {
        address,
        gateway: None,
        pool: None,
        node: None,
        since_ms: None,
        interfaces: Vec::new(),
        why: String::new(),
        conflict: Some(mac.to_string()),
        contest: Some(Contest::SetAside),
        withheld: Some("it is set aside".to_owned()),
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

/// What gate 1 reports of a configuration that it runs.
pub(super) fn report(
    owners: &[Ownership],
    snapshot: &Snapshot,
    generation: Generation,
    now: Duration,
) -> GateReport {
    let failures = |troubles: &dyn Fn(&Ownership, Stubbornness) -> Vec<String>| {
        let mut failures = BTreeSet::new();
        for owner in owners {
            let of = |it: &&gateway_ir::Service| it.vip == owner.vip;
            let messages = troubles(owner, Stubbornness::of(owner.vip, snapshot));
            for service in snapshot.services.iter().filter(of) {
                failures.extend(messages.iter().map(|message| ListenerFailure {
                    listener: service.listener.clone(),
                    message: message.clone(),
                }));
            }
        }
        failures.into_iter().collect()
    };
    GateReport {
        programmed: Some(generation),
        off: None,
        failures: failures(&|owner, stubborn| troubles(owner, stubborn, now)),
        elsewhere: failures(&|owner, stubborn| troubles_elsewhere(owner, stubborn)),
    }
}

/// Whether an address stays although another one is wanted when another machine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stubbornness {
    /// There is nothing to say.
    None,
    /// The Gateway names it.
    Named,
}

impl Stubbornness {
    fn of(address: IpAddr, snapshot: &Snapshot) -> Self {
        let mut vips = snapshot.vips.iter();
        let is_named = vips.any(|it| it.address == address && it.choice == Choice::Named);
        match snapshot.announce.conflicts {
            ConflictPolicy::Reallocate if is_named => Self::Named,
            ConflictPolicy::Defend | ConflictPolicy::Yield | ConflictPolicy::Reallocate => {
                Self::None
            }
        }
    }

    fn remark(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Named => {
                "; the Gateway names it in spec.addresses and gets no other: take it off that machine, or name another one"
            }
        }
    }
}

/// What an operator should know of a VIP: why it is silent, and who else answers for it.
fn troubles(ownership: &Ownership, stubborn: Stubbornness, now: Duration) -> Vec<String> {
    let vip = ownership.vip;
    let mut troubles = Vec::new();
    match ownership.decision {
        Decision::Withhold(reason @ Reason::InUse(_)) => {
            let remark = stubborn.remark();
            troubles.push(format!("{vip} is not announced: {reason}{remark}"));
        }
        Decision::Withhold(reason) => troubles.push(format!("{vip} is not announced: {reason}")),
        Decision::Announce => {
            troubles.extend(ownership.foreign.map(|it| contested(it, stubborn)));
        }
        Decision::Yield(_) => {}
    }
    if ownership
        .rival
        .is_some_and(|at| now.saturating_sub(at) < RIVAL_MEMORY)
    {
        troubles.push(format!(
            "both nodes have answered for {vip}: they did not hear each other, and neither the router nor the API server could tell them; name witnesses in the SanmonConfig"
        ));
    }
    troubles
}

/// The same of a VIP that another node holds, as far as that one says.
fn troubles_elsewhere(ownership: &Ownership, stubborn: Stubbornness) -> Vec<String> {
    match ownership.decision {
        Decision::Yield(_) => {
            let foreign = ownership.foreign.into_iter();
            foreign.map(|it| contested(it, stubborn)).collect()
        }
        Decision::Announce | Decision::Withhold(_) => Vec::new(),
    }
}

fn contested(foreign: Foreign, stubborn: Stubbornness) -> String {
    let Foreign { address, mac, .. } = foreign;
    let remark = stubborn.remark();
    match foreign.course {
        Course::Defended => format!(
            "{address} is claimed by another machine, with the MAC {mac}; it is defended{remark}"
        ),
        Course::Withheld | Course::SetAside => {
            format!("{address} is not announced: {}{remark}", Reason::InUse(mac))
        }
    }
}
