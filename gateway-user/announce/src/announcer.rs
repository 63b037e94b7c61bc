//! The state machine: what exists and what time it is in, commands out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::{AnnounceSettings, Choice, Interface, Mac, NodeName};

use crate::claim::Claim;
use crate::command::Command;
use crate::conflict::{FirstUse, Usage};
use crate::membership::heartbeat::{Heartbeat, NodeId, Serving};
use crate::membership::pair::Verdict;
use crate::membership::past::Past;
use crate::membership::terms::Terms;
use crate::membership::{Fitness, Holding, Identity, Member, Membership, Scene};
use crate::ownership::{Decision, Ownership, Reason};
use crate::survey::{Answer, Seen, Survey};

mod foreign;
mod legacy;
mod view;

#[cfg(test)]
mod tests;

pub use self::legacy::Legacy;
pub use self::view::{Caution, Part, Settings, View};
use self::view::{movable, place, seats, voters};

/// Addresses beyond these fit no heartbeat.
const VIPS_MAX: usize = 900;

/// Decides which VIPs this node answers for.
#[derive(Debug)]
pub struct Announcer {
    settings: Settings,
    /// None: there are other nodes, and nothing can be agreed with them.
    membership: Option<Membership>,
    /// What the membership of a former process has left for this one's first.
    past: Option<Past>,
    /// Where a former process may have answered, and this one has not said yet whether it does.
    unsettled: BTreeSet<(IpAddr, u32)>,
    seats: BTreeMap<IpAddr, Result<Vec<Interface>, Reason>>,
    standings: BTreeMap<IpAddr, Standing>,
    commands: VecDeque<Command>,
    rules: AnnounceSettings,
    interfaces: Vec<Interface>,
    survey: Survey,
    /// The VIPs that one of our nodes has had, as far as this one knows: no other machine is expected to have them.
    known: BTreeSet<IpAddr>,
    /// The newest claim of others that was taken into account, by VIP and interface.
    claimed: BTreeMap<(IpAddr, u32), Duration>,
    /// The addresses that were set aside when this node spoke to the others last.
    remembered: BTreeMap<IpAddr, Mac>,
    /// The VIPs that Gateways name themselves: they get no other.
    named: BTreeSet<IpAddr>,
    /// Since when the address was as it is now, by VIP: who answers, and if nobody does here, why.
    changed: BTreeMap<IpAddr, (Decision, Duration)>,
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
            past: None,
            unsettled: BTreeSet::new(),
            seats: BTreeMap::new(),
            standings: BTreeMap::new(),
            commands: VecDeque::new(),
            rules: AnnounceSettings::default(),
            interfaces: Vec::new(),
            survey: Survey::default(),
            known: BTreeSet::new(),
            claimed: BTreeMap::new(),
            remembered: BTreeMap::new(),
            named: BTreeSet::new(),
            changed: BTreeMap::new(),
        }
    }

    /// Takes note of what exists. What is due at `now` is done as well.
    pub fn update(&mut self, now: Duration, view: View<'_>) {
        let vips = view.vips.iter();
        self.seats = vips.map(|vip| (vip.address, seats(vip, view))).collect();
        let named = view.vips.iter().filter(|vip| vip.choice == Choice::Named);
        self.named = named.map(|vip| vip.address).collect();
        self.rules.clone_from(view.rules);
        self.interfaces = view.interfaces.to_vec();
        self.survey.follow(view.witnesses);
        self.known.retain(|vip| self.seats.contains_key(vip));
        self.changed.retain(|vip, _| self.seats.contains_key(vip));
        self.meet(now, view);
        self.advance(now);
        self.silence_the_rest();
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

    /// Takes an answer into account that was seen on the wire.
    pub fn see(&mut self, now: Duration, seen: Seen) {
        if let Answer::Echo(address) = seen.answer
            && let Some(Standing::Held(_)) = self.standings.get(&address)
        {
            // This node's own echo, which it asked for before it took the address.
            return;
        }
        if let (Some(membership), Some(sighting)) = (
            &mut self.membership,
            self.survey.read(seen, &self.interfaces),
        ) {
            membership.sight(now, sighting);
            self.settle(now);
        }
    }

    /// Takes over what the arbiter between two nodes says.
    pub fn judge(&mut self, now: Duration, verdict: Verdict) {
        if let Some(membership) = &mut self.membership {
            membership.judge(now, verdict);
            self.settle(now);
        }
    }

    /// Tells whether an arbiter should decide between two nodes now.
    pub fn wants_arbiter(&self, now: Duration) -> bool {
        self.membership
            .as_ref()
            .is_some_and(|it| it.wants_arbiter(now))
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
    pub fn owners(&self, now: Duration) -> Vec<Ownership> {
        let membership = self.membership.as_ref();
        let owner = |(vip, standing): (&IpAddr, &Standing)| {
            let changed = self.changed.get(vip).map(|it| it.1).unwrap_or_default();
            let decision = standing.decision();
            let (interfaces, conflict, won) = match standing {
                Standing::Held(claim) => (claim.interfaces(), claim.conflict(), claim.since()),
                Standing::Silent(_) => (Vec::new(), None, Duration::ZERO),
            };
            Ownership {
                vip: *vip,
                interfaces: match decision {
                    Decision::Announce => interfaces,
                    Decision::Yield(_) | Decision::Withhold(_) => Vec::new(),
                },
                since: changed.max(won),
                decision,
                basis: membership.and_then(|it| it.basis(now, *vip)),
                conflict: conflict.filter(|it| it.is_fresh(now)),
                foreign: membership.and_then(|it| it.foreign(now, *vip)),
                rival: membership.and_then(|it| it.rival_at(*vip)),
            }
        };
        self.standings.iter().map(owner).collect()
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
        let past = self.past.take();
        let Some(scene) = self.scene(view) else {
            self.remembered = self.aside();
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
                let mut membership = match past {
                    Some(past) => Membership::resume(now, past, scene),
                    None => Membership::new(now, identity, scene),
                };
                for (address, mac) in &self.remembered {
                    membership.set_aside(*address, *mac);
                }
                self.membership = Some(membership);
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
        let serving = serving(part.serving, &vips);
        let terms = if names.len() == 1 {
            self.settings.alone()
        } else {
            Terms::of(view.rules)
        };
        let ids = |names: &mut dyn Iterator<Item = &&NodeName>| -> BTreeSet<NodeId> {
            names.map(|name| NodeId::of(name)).collect()
        };
        let (mut favoured, mut barred) = (BTreeMap::new(), BTreeMap::new());
        for vip in vips.keys() {
            if let Some(place) = place(&names, *vip, view.services) {
                favoured.insert(*vip, place.favoured);
                barred.insert(*vip, place.barred);
            }
        }
        Some(Scene {
            nodes: ids(&mut names.iter()),
            voters: voters(&names, &view.rules.voters),
            favoured,
            barred,
            vips,
            serving,
            generation: part.generation,
            terms,
            witnesses: view.witnesses.iter().copied().collect(),
            macs: view.interfaces.iter().map(|it| it.mac).collect(),
            movable: movable(view),
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
            let membership = self.membership.as_ref();
            let standing = match (holdings.get(vip), seat) {
                (Some(holding), Ok(interfaces)) => {
                    let refresh = self.rules.refresh;
                    let first = match self.settings.first_use {
                        Caution::Probe if !self.known.contains(vip) => FirstUse::Yes,
                        Caution::Probe | Caution::None => FirstUse::No,
                    };
                    let new = || Claim::new(now, *holding, refresh, first);
                    let mut claim = claim.unwrap_or_else(new);
                    claim.set_refresh(refresh);
                    claim.follow(now, *holding, interfaces, &mut self.commands);
                    Standing::Held(claim)
                }
                (_, seat) => {
                    if let Some(claim) = claim {
                        claim.release(&mut self.commands);
                    }
                    let seat = seat.as_ref().err().copied();
                    Standing::Silent(silence(now, membership, *vip, seat))
                }
            };
            let decision = standing.decision();
            if matches!(decision, Decision::Announce | Decision::Yield(_)) {
                self.known.insert(*vip);
            }
            let changed = self.changed.entry(*vip).or_insert((decision, now));
            if changed.0 != decision {
                *changed = (decision, now);
            }
            self.standings.insert(*vip, standing);
        }
        for standing in former.into_values() {
            match standing {
                Standing::Held(claim) => claim.release(&mut self.commands),
                Standing::Silent(_) => {}
            }
        }
        self.contend(now);
        self.ask();
    }

    /// Puts the questions to the LAN that are due.
    fn ask(&mut self) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        while let Some(question) = membership.poll_question() {
            let asked = self.survey.ask(question, &self.interfaces);
            self.commands.extend(asked);
        }
    }
}

impl Standing {
    fn decision(&self) -> Decision {
        match self {
            Self::Silent(decision) => *decision,
            Self::Held(claim) => match (claim.usage(), claim.conflict()) {
                (Usage::Announced, _) => Decision::Announce,
                (Usage::Probing { .. } | Usage::Contested { .. }, Some(conflict)) => {
                    Decision::Withhold(Reason::InUse(conflict.mac))
                }
                (Usage::Probing { .. } | Usage::Contested { .. }, None) => {
                    Decision::Withhold(Reason::Probing)
                }
            },
        }
    }
}

/// Why this node is silent: mostly because another one answers.
fn silence(
    now: Duration,
    membership: Option<&Membership>,
    vip: IpAddr,
    seat: Option<Reason>,
) -> Decision {
    let Some(membership) = membership else {
        return Decision::Withhold(Reason::NoMembership);
    };
    if let Some(hindrance) = membership.hindrance(now) {
        return Decision::Withhold(seat.unwrap_or(Reason::Split(hindrance)));
    }
    match membership.owner(vip) {
        _ if !membership.is_connected() => Decision::Withhold(Reason::NoMajority),
        Some(node) if node != membership.node() => Decision::Yield(node),
        Some(_) | None if membership.is_barred(vip) => {
            Decision::Withhold(seat.unwrap_or(Reason::NothingToServe))
        }
        Some(_) | None => Decision::Withhold(seat.unwrap_or(Reason::Undecided)),
    }
}

/// What this node says that it serves: no more than its interfaces let it answer for. A node without any is asked for
/// nothing, and its turn is not waited for.
fn serving(wanted: Serving, vips: &BTreeMap<IpAddr, Fitness>) -> Serving {
    let fit = vips.values().filter(|it| **it == Fitness::Fit).count();
    let able = if fit == vips.len() {
        Serving::Everything
    } else if fit > 0 {
        Serving::Part
    } else {
        Serving::Nothing
    };
    // The worse of both.
    wanted.max(able)
}
