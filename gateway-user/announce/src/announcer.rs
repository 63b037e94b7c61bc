//! The state machine: what exists and what time it is in, commands out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::{Interface, NodeName, Pool, Vip};

use crate::claim::Claim;
use crate::command::Command;
use crate::membership::heartbeat::{Heartbeat, NodeId, Serving};
use crate::membership::terms::Terms;
use crate::membership::{Fitness, Holding, Identity, Member, Membership, Scene};
use crate::ownership::{Decision, Ownership, Reason};

#[cfg(test)]
mod tests;

/// How the announcer runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This node's name.
    pub node: NodeName,
    /// How long an answer stays in force without renewal where no other node waits for it.
    pub lease: Duration,
    /// Distance of the gratuitous frames, once the burst after a take-over is done.
    pub refresh: Duration,
    /// How nodes agree on owners when there are several.
    pub terms: Terms,
    /// The time of day when the monotonic clock was zero: a later life of the process is known by it.
    pub epoch: Duration,
}

impl Settings {
    /// The defaults for a node: a lease of 1 s, a refresh every 60 s.
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            lease: Duration::from_secs(1),
            refresh: Duration::from_secs(60),
            terms: Terms::default(),
            epoch: Duration::ZERO,
        }
    }

    /// The lengths of a node that is its own majority.
    fn alone(&self) -> Terms {
        Terms {
            beat: self.lease / 4,
            lease: self.lease,
        }
    }
}

/// The first so many nodes by name vote.
const VOTERS_MAX: usize = 5;
/// Addresses beyond these fit no heartbeat.
const VIPS_MAX: usize = 900;

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
    /// How this node takes part in heartbeats; none: it can not, because there is no key.
    pub part: Option<Part>,
}

/// What a node says of itself in its heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whether it should answer for addresses.
    pub serving: Serving,
    /// The configuration that it runs.
    pub generation: u64,
}

/// Decides which VIPs this node answers for.
#[derive(Debug)]
pub struct Announcer {
    settings: Settings,
    /// None: there are other nodes, and nothing can be agreed with them.
    membership: Option<Membership>,
    seats: BTreeMap<IpAddr, Result<Vec<Interface>, Reason>>,
    standings: BTreeMap<IpAddr, Standing>,
    commands: VecDeque<Command>,
}

/// Where this node stands on a VIP.
#[derive(Debug)]
enum Standing {
    Held(Claim),
    Silent(Decision),
}

impl Announcer {
    /// Starts with no address.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            membership: None,
            seats: BTreeMap::new(),
            standings: BTreeMap::new(),
            commands: VecDeque::new(),
        }
    }

    /// Takes note of what exists. What is due at `now` is done as well.
    pub fn update(&mut self, now: Duration, view: View<'_>) {
        let vips = view.vips.iter();
        self.seats = vips.map(|vip| (vip.address, seats(vip, view))).collect();
        self.meet(now, view);
        self.advance(now);
    }

    /// Takes a heartbeat into account that was proved to come from who it says.
    pub fn hear(&mut self, now: Duration, heartbeat: &Heartbeat) {
        if let Some(membership) = &mut self.membership {
            membership.hear(now, heartbeat);
            self.settle(now);
        }
    }

    /// Does what is due at `now`: renews leases, tells neighbours.
    pub fn advance(&mut self, now: Duration) {
        if let Some(membership) = &mut self.membership {
            membership.advance(now);
        }
        self.settle(now);
    }

    /// Hands every address over to other nodes, where there are some that can take it. Answers go on until they do, for
    /// one lease at most.
    pub fn leave(&mut self, now: Duration) {
        if let Some(membership) = &mut self.membership {
            membership.leave(now);
        }
        self.settle(now);
    }

    /// When [`Self::advance`] has something to do again; none: not before the next [`Self::update`].
    pub fn next_wakeup(&self) -> Option<Duration> {
        let membership = self.membership.as_ref()?;
        let standings = self.standings.values();
        let calls = standings.filter_map(|standing| match standing {
            Standing::Held(claim) => claim.next_call(),
            Standing::Silent(_) => None,
        });
        calls.chain([membership.next_wakeup()]).min()
    }

    /// The next command, oldest first; none when all are taken.
    pub fn poll(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next heartbeat to send, oldest first; none when all are taken.
    pub fn poll_heartbeat(&mut self) -> Option<Heartbeat> {
        self.membership.as_mut()?.poll()
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
                Standing::Silent(decision) => Ownership {
                    vip: *vip,
                    interfaces: Vec::new(),
                    since: None,
                    decision: *decision,
                },
            })
            .collect()
    }

    /// Notes which configuration this node runs: the others learn of it with the next heartbeat.
    pub fn run(&mut self, generation: u64) {
        if let Some(membership) = &mut self.membership {
            membership.run(generation);
        }
    }

    /// The other nodes that are heard now.
    pub fn heard(&self, now: Duration) -> Vec<Member> {
        let membership = self.membership.iter();
        membership.flat_map(|it| it.heard(now)).collect()
    }

    /// Whether this node is one that hears all others, as far as there are any.
    pub fn hears_all(&self) -> bool {
        self.membership.as_ref().is_none_or(Membership::is_voter)
    }

    /// The other nodes, as far as they were heard.
    pub fn members(&self) -> Vec<Member> {
        let membership = self.membership.iter();
        membership.flat_map(Membership::members).collect()
    }

    /// Tells whether this node answers for no address.
    pub fn is_silent(&self) -> bool {
        let mut standings = self.standings.values();
        standings.all(|standing| match standing {
            Standing::Held(_) => false,
            Standing::Silent(_) => true,
        })
    }

    /// Joins the other nodes, or leaves their company.
    fn meet(&mut self, now: Duration, view: View<'_>) {
        let Some(scene) = self.scene(view) else {
            self.membership = None;
            return;
        };
        match &mut self.membership {
            Some(membership) => membership.update(now, scene),
            None => {
                let life = self.settings.epoch.saturating_add(now).as_nanos();
                let identity = Identity {
                    node: NodeId::of(&self.settings.node),
                    incarnation: u64::try_from(life).unwrap_or(u64::MAX),
                };
                self.membership = Some(Membership::new(now, identity, scene));
            }
        }
    }

    /// What exists, as far as ownership is concerned; none: there are others, and no key to speak to them.
    fn scene(&self, view: View<'_>) -> Option<Scene> {
        let me = &self.settings.node;
        let names: BTreeSet<&NodeName> = view.peers.iter().chain([me]).collect();
        let alone = Part {
            serving: Serving::Everything,
            generation: 0,
        };
        let part = if names.len() == 1 {
            view.part.unwrap_or(alone)
        } else {
            view.part?
        };
        let fitness = |seat: &Result<_, _>| match seat {
            Ok(_) => Fitness::Fit,
            Err(_) => Fitness::Unfit,
        };
        let seats = self.seats.iter().take(VIPS_MAX);
        let vips: BTreeMap<_, _> = seats.map(|(vip, seat)| (*vip, fitness(seat))).collect();
        let all_fit = vips.values().all(|fitness| *fitness == Fitness::Fit);
        let serving = match part.serving {
            Serving::Everything if !all_fit => Serving::Part,
            serving @ (Serving::Everything
            | Serving::Part
            | Serving::Reserve
            | Serving::Nothing) => serving,
        };
        let terms = if names.len() == 1 {
            self.settings.alone()
        } else {
            self.settings.terms
        };
        let ids = |names: &mut dyn Iterator<Item = &&NodeName>| -> BTreeSet<NodeId> {
            names.map(|name| NodeId::of(name)).collect()
        };
        Some(Scene {
            nodes: ids(&mut names.iter()),
            voters: ids(&mut names.iter().take(VOTERS_MAX)),
            vips,
            serving,
            generation: part.generation,
            terms,
        })
    }

    /// Lets the kernel answer for exactly what this node has a right to.
    fn settle(&mut self, now: Duration) {
        let mut former = std::mem::take(&mut self.standings);
        let holdings = self.membership.iter().flat_map(Membership::holdings);
        let holdings: BTreeMap<IpAddr, Holding> = holdings.map(|it| (it.vip, it)).collect();
        for (vip, seat) in &self.seats {
            let claim = match former.remove(vip) {
                Some(Standing::Held(claim)) => Some(claim),
                Some(Standing::Silent(_)) | None => None,
            };
            let standing = match (holdings.get(vip), seat) {
                (Some(holding), Ok(interfaces)) => {
                    let new = || Claim::new(*holding, self.settings.refresh);
                    let mut claim = claim.unwrap_or_else(new);
                    claim.follow(now, *holding, interfaces, &mut self.commands);
                    Standing::Held(claim)
                }
                (_, seat) => {
                    if let Some(claim) = claim {
                        claim.release(&mut self.commands);
                    }
                    let membership = self.membership.as_ref();
                    Standing::Silent(silence(membership, *vip, seat.as_ref().err().copied()))
                }
            };
            self.standings.insert(*vip, standing);
        }
        for standing in former.into_values() {
            match standing {
                Standing::Held(claim) => claim.release(&mut self.commands),
                Standing::Silent(_) => {}
            }
        }
    }
}

/// Why this node is silent: mostly because another one answers.
fn silence(membership: Option<&Membership>, vip: IpAddr, seat: Option<Reason>) -> Decision {
    let Some(membership) = membership else {
        return Decision::Withhold(Reason::NoMembership);
    };
    match membership.owner(vip) {
        _ if !membership.is_connected() => Decision::Withhold(Reason::NoMajority),
        Some(node) if node != membership.node() => Decision::Yield(node),
        Some(_) | None => Decision::Withhold(seat.unwrap_or(Reason::Undecided)),
    }
}

/// The interfaces on which a node may answer for a VIP.
fn seats(vip: &Vip, view: View<'_>) -> Result<Vec<Interface>, Reason> {
    let pool = view
        .pools
        .iter()
        .find(|pool| pool.name == vip.pool)
        .ok_or(Reason::UnknownPool)?;
    let interfaces: Vec<Interface> = view
        .interfaces
        .iter()
        .filter(|interface| match pool.interfaces.as_slice() {
            [] => interface.reaches(vip.address),
            named => named.contains(&interface.name),
        })
        .cloned()
        .collect();
    if interfaces.is_empty() {
        return Err(Reason::NoInterface);
    }
    Ok(interfaces)
}
