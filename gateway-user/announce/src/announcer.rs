//! The state machine: what exists and what time it is in, commands out.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::{Interface, NodeName, Pool, Vip};

use crate::claim::Claim;
use crate::command::Command;
use crate::lease::Lease;
use crate::ownership::{Decision, Ownership, Reason};

#[cfg(test)]
mod tests;

/// How the announcer runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This node's name.
    pub node: NodeName,
    /// How long an answer stays in force without renewal: a dead or frozen process falls silent within it.
    pub lease: Duration,
    /// Distance of the gratuitous frames, once the burst after a take-over is done.
    pub refresh: Duration,
}

impl Settings {
    /// The defaults for a node: a lease of 1 s, a refresh every 60 s.
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            lease: Duration::from_secs(1),
            refresh: Duration::from_secs(60),
        }
    }
}

/// What exists right now.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The addresses that some node has to answer for.
    pub vips: &'a [Vip],
    /// The pools that they come from.
    pub pools: &'a [Pool],
    /// The interfaces of this node that are up and have gate 1's program attached.
    pub interfaces: &'a [Interface],
    /// The nodes that might answer as well; this node's own name in it does not count.
    pub peers: &'a [NodeName],
}

/// Decides which VIPs this node answers for.
#[derive(Debug)]
pub struct Announcer {
    settings: Settings,
    standings: BTreeMap<IpAddr, Standing>,
    commands: VecDeque<Command>,
}

/// Where this node stands on a VIP.
#[derive(Debug)]
enum Standing {
    Held(Claim),
    Withheld(Reason),
}

impl Announcer {
    /// Starts with no address.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            standings: BTreeMap::new(),
            commands: VecDeque::new(),
        }
    }

    /// Takes note of what exists. What is due at `now` is done as well.
    pub fn update(&mut self, now: Duration, view: View<'_>) {
        let mut former = std::mem::take(&mut self.standings);
        for vip in view.vips {
            let claim = match former.remove(&vip.address) {
                Some(Standing::Held(claim)) => Some(claim),
                Some(Standing::Withheld(_)) | None => None,
            };
            let standing = match seats(&self.settings.node, vip, view) {
                Ok(interfaces) => Standing::Held(self.hold(now, vip.address, claim, &interfaces)),
                Err(reason) => {
                    if let Some(claim) = claim {
                        claim.release(&mut self.commands);
                    }
                    Standing::Withheld(reason)
                }
            };
            self.standings.insert(vip.address, standing);
        }
        for standing in former.into_values() {
            match standing {
                Standing::Held(claim) => claim.release(&mut self.commands),
                Standing::Withheld(_) => {}
            }
        }
        self.advance(now);
    }

    /// Does what is due at `now`: renews leases, tells neighbours.
    pub fn advance(&mut self, now: Duration) {
        for standing in self.standings.values_mut() {
            match standing {
                Standing::Held(claim) => {
                    claim.advance(now, evidence(now), self.settings.lease, &mut self.commands);
                }
                Standing::Withheld(_) => {}
            }
        }
    }

    /// When [`Self::advance`] has something to do again; none: not before the next [`Self::update`].
    pub fn next_wakeup(&self) -> Option<Duration> {
        self.standings
            .values()
            .filter_map(|standing| match standing {
                Standing::Held(claim) => Some(claim.next_wakeup()),
                Standing::Withheld(_) => None,
            })
            .min()
    }

    /// The next command, oldest first; none when all are taken.
    pub fn poll(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Where this node stands on every VIP, sorted by address.
    pub fn owners(&self) -> Vec<Ownership> {
        self.standings
            .iter()
            .map(|(vip, standing)| match standing {
                Standing::Held(claim) => Ownership {
                    vip: *vip,
                    interfaces: claim.interfaces(),
                    since: Some(claim.since()),
                    decision: Decision::Announce,
                },
                Standing::Withheld(reason) => Ownership {
                    vip: *vip,
                    interfaces: Vec::new(),
                    since: None,
                    decision: Decision::Withhold(*reason),
                },
            })
            .collect()
    }

    fn hold(
        &mut self,
        now: Duration,
        address: IpAddr,
        claim: Option<Claim>,
        interfaces: &[&Interface],
    ) -> Claim {
        let mut claim = claim.unwrap_or_else(|| {
            let lease = Lease::won(evidence(now), self.settings.lease);
            Claim::new(address, now, lease, self.settings.refresh)
        });
        claim.seat(now, interfaces, &mut self.commands);
        claim
    }
}

/// The send time of what a majority of the voters has acknowledged.
///
/// A node without peers is the only voter and hears itself at once, so its evidence is the present. With peers this
/// would be two owners in the making, which is why [`seats`] withholds every VIP there.
fn evidence(now: Duration) -> Duration {
    now
}

/// The interfaces on which a node may answer for a VIP.
fn seats<'a>(node: &NodeName, vip: &Vip, view: View<'a>) -> Result<Vec<&'a Interface>, Reason> {
    if view.peers.iter().any(|peer| peer != node) {
        return Err(Reason::NoMembership);
    }
    if vip.address.is_ipv6() {
        return Err(Reason::Ipv6);
    }
    let pool = view
        .pools
        .iter()
        .find(|pool| pool.name == vip.pool)
        .ok_or(Reason::UnknownPool)?;
    let interfaces: Vec<&Interface> = view
        .interfaces
        .iter()
        .filter(|interface| match pool.interfaces.as_slice() {
            [] => interface.reaches(vip.address),
            named => named.contains(&interface.name),
        })
        .collect();
    if interfaces.is_empty() {
        return Err(Reason::NoInterface);
    }
    Ok(interfaces)
}
