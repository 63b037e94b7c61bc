//! What one of two nodes asks the LAN, as frames; and which of the answers are news.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use gateway_ir::{Interface, Mac};

use crate::command::Command;
use crate::membership::witness::{Question, Sighting};
use crate::{arp, icmp};

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
    /// An ARP reply: a machine has an address.
    Arp(Ipv4Addr, Mac),
    /// An echo reply: somebody has an address, as another machine knows.
    Echo(Ipv4Addr),
}

impl Seen {
    /// Reads a frame that came in; none: it is no answer.
    pub fn parse(interface: u32, frame: &[u8]) -> Option<Self> {
        let arp = arp::reply(frame).map(|(address, mac)| Answer::Arp(address, mac));
        let answer = arp.or_else(|| icmp::echo_reply(frame).map(Answer::Echo))?;
        Some(Self { interface, answer })
    }
}

/// Where the witnesses are.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    witnesses: Vec<Ipv4Addr>,
    /// By interface.
    found: BTreeMap<(u32, Ipv4Addr), Place>,
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
        let v4 = witnesses.iter().filter_map(|it| match it {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        self.witnesses = v4.collect();
        self.found.retain(|(_, it), _| self.witnesses.contains(it));
    }

    /// The frames that ask a question on these interfaces.
    pub(crate) fn ask(&mut self, question: Question, interfaces: &[Interface]) -> Vec<Command> {
        let (Question::Witness(IpAddr::V4(address)) | Question::Owner(IpAddr::V4(address))) =
            question
        else {
            // IPv6 addresses are not announced.
            return Vec::new();
        };
        let mut commands = Vec::new();
        for interface in interfaces {
            let Some(own) = own_address(interface, address) else {
                continue;
            };
            let from = (interface.mac, own);
            let mut send = |frame| {
                commands.push(Command::Send {
                    interface: interface.index,
                    frame,
                });
            };
            match question {
                Question::Witness(_) => {
                    let place = self.found.get_mut(&(interface.index, address));
                    let known = place.and_then(|place| {
                        place.asked += 1;
                        (place.asked <= ASKED_MAX).then_some(place.mac)
                    });
                    send(arp::request(from, known, address));
                }
                Question::Owner(_) => {
                    send(arp::request(from, None, address));
                    let here = self
                        .found
                        .iter()
                        .filter(|((it, _), _)| *it == interface.index);
                    here.for_each(|(_, by)| send(icmp::echo_request(from, by.mac, address)));
                }
            }
        }
        commands
    }

    /// What an answer says to a node with these interfaces.
    pub(crate) fn read(&mut self, seen: Seen, interfaces: &[Interface]) -> Option<Sighting> {
        match seen.answer {
            Answer::Arp(_, mac) if interfaces.iter().any(|it| it.mac == mac) => None,
            Answer::Arp(address, mac) if self.witnesses.contains(&address) => {
                let place = Place { mac, asked: 0 };
                self.found.insert((seen.interface, address), place);
                Some(Sighting::Witness(address.into()))
            }
            Answer::Arp(address, _) | Answer::Echo(address) => {
                Some(Sighting::Owner(address.into()))
            }
        }
    }
}

/// The interface's own address in the subnet of another.
fn own_address(interface: &Interface, other: Ipv4Addr) -> Option<Ipv4Addr> {
    let mut nets = interface.addresses.iter();
    let net = nets.find(|net| net.contains(&IpAddr::V4(other)))?;
    match net.addr() {
        IpAddr::V4(own) => Some(own),
        IpAddr::V6(_) => None,
    }
}
