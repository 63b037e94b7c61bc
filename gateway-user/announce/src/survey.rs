//! What one of two nodes asks the LAN, as frames; and which of the answers are news.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use gateway_ir::{Interface, Mac};

use crate::command::Command;
use crate::icmpv6::End;
use crate::membership::witness::{Question, Sighting};
use crate::{arp, icmp, icmpv6, ndp};

/// An answer that was seen on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Index of the interface.
    pub interface: u32,
    /// What kind of answer.
    pub answer: Answer,
}

/// A kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An ARP reply or a neighbour advertisement: a machine has an address.
    Neighbour(IpAddr, Mac),
    /// An echo reply: somebody has an address, as another machine knows.
    Echo(IpAddr),
}

impl Seen {
    /// Reads a frame that came in; none: it is no answer.
    pub fn parse(interface: u32, frame: &[u8]) -> Option<Self> {
        let v4 = arp::reply(frame).map(|(address, mac)| (address.into(), mac));
        let v6 = || ndp::advertisement(frame).map(|(address, mac)| (address.into(), mac));
        let echo = || {
            let v4 = icmp::echo_reply(frame).map(IpAddr::V4);
            v4.or_else(|| icmpv6::echo_reply(frame).map(IpAddr::V6))
        };
        let neighbour = v4.or_else(v6);
        let neighbour = neighbour.map(|(address, mac)| Answer::Neighbour(address, mac));
        let answer = neighbour.or_else(|| echo().map(Answer::Echo))?;
        Some(Self { interface, answer })
    }
}

/// Where the witnesses are.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    witnesses: Vec<IpAddr>,
    /// By interface.
    found: BTreeMap<(u32, IpAddr), Place>,
}

/// Where a witness was found.
#[derive(Clone, Copy, Debug)]
struct Place {
    mac: Mac,
    /// Questions since it answered last.
    asked: u32,
}

/// After so many questions without an answer the witness is looked for anew: another router may stand in for it.
const ASKED_MAX: u32 = 3;

impl Survey {
    pub(crate) fn follow(&mut self, witnesses: &[IpAddr]) {
        self.witnesses = witnesses.to_vec();
        self.found.retain(|(_, it), _| self.witnesses.contains(it));
    }

    /// The frames that ask a question on these interfaces.
    pub(crate) fn ask(&mut self, question: Question, interfaces: &[Interface]) -> Vec<Command> {
        let mut commands = Vec::new();
        for interface in interfaces {
            let frames = match question {
                Question::Witness(witness) => Vec::from_iter(self.look_for(witness, interface)),
                Question::Owner(vip) => self.ask_for(vip, interface),
            };
            commands.extend(frames.into_iter().map(|frame| Command::Send {
                interface: interface.index,
                frame,
            }));
        }
        commands
    }

    /// Asks whether a witness is there: the machine that answered last, as long as it does.
    fn look_for(&mut self, witness: IpAddr, interface: &Interface) -> Option<Vec<u8>> {
        let place = self.found.get_mut(&(interface.index, witness));
        let known = place.and_then(|place| {
            place.asked += 1;
            (place.asked <= ASKED_MAX).then_some(place.mac)
        });
        neighbour_question(interface, known, witness)
    }

    /// Asks who has an address: all neighbours, and by way of each witness.
    fn ask_for(&self, vip: IpAddr, interface: &Interface) -> Vec<Vec<u8>> {
        let here = self
            .found
            .iter()
            .filter(|((it, _), _)| *it == interface.index);
        let echoes = here.filter_map(|(_, by)| echo_question(interface, by.mac, vip));
        neighbour_question(interface, None, vip)
            .into_iter()
            .chain(echoes)
            .collect()
    }

    /// What an answer says to a node with these interfaces.
    pub(crate) fn read(&mut self, seen: Seen, interfaces: &[Interface]) -> Option<Sighting> {
        match seen.answer {
            Answer::Neighbour(_, mac) if interfaces.iter().any(|it| it.mac == mac) => None,
            Answer::Neighbour(address, mac) if self.witnesses.contains(&address) => {
                let place = Place { mac, asked: 0 };
                self.found.insert((seen.interface, address), place);
                Some(Sighting::Witness(address))
            }
            Answer::Neighbour(address, _) | Answer::Echo(address) => Some(Sighting::Owner(address)),
        }
    }
}

/// An ARP request or a neighbour solicitation; none: the interface has no address to ask from.
fn neighbour_question(interface: &Interface, to: Option<Mac>, address: IpAddr) -> Option<Vec<u8>> {
    Some(match (own_address(interface, address)?, address) {
        (IpAddr::V4(own), IpAddr::V4(address)) => arp::request((interface.mac, own), to, address),
        (IpAddr::V6(own), IpAddr::V6(address)) => {
            ndp::solicitation(end(interface, own), to, address)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    })
}

/// An echo request in a frame to a machine that should know the way; none: the interface has no address to ask from.
fn echo_question(interface: &Interface, by: Mac, address: IpAddr) -> Option<Vec<u8>> {
    Some(match (own_address(interface, address)?, address) {
        (IpAddr::V4(own), IpAddr::V4(address)) => {
            icmp::echo_request((interface.mac, own), by, address)
        }
        (IpAddr::V6(own), IpAddr::V6(address)) => {
            icmpv6::echo_request(end(interface, own), by, address)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    })
}

fn end(interface: &Interface, address: Ipv6Addr) -> End {
    End {
        mac: interface.mac,
        address,
    }
}

/// The interface's own address in the subnet of another, or any of its family: an address that is configured for an
/// interface by its name alone may be in none of its subnets.
fn own_address(interface: &Interface, other: IpAddr) -> Option<IpAddr> {
    let nets = interface.addresses.iter();
    let same = nets.filter(|net| net.addr().is_ipv4() == other.is_ipv4());
    let inside = same.clone().find(|net| net.contains(&other));
    let best = inside.or_else(|| same.min_by_key(|net| net.addr()));
    best.map(|net| net.addr())
}
