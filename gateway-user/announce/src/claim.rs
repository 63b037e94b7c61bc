//! One VIP at this node: until when and on which interfaces it is answered.
//!
//! The deadline is a value that comes from what voters granted and is never read from a clock where it is written: a
//! process that was frozen in between then writes a deadline that is already past, which is harmless.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::{ConflictPolicy, Interface, Mac};

use crate::command::Command;
use crate::conflict::{Conflict, FirstUse, Usage};
use crate::membership::Holding;
use crate::refresh::Schedule;
use crate::{arp, ndp};

/// An address that this node holds.
#[derive(Debug)]
pub(crate) struct Claim {
    address: IpAddr,
    since: Duration,
    /// The moment after which the kernel must not answer any more.
    until: Duration,
    refresh: Duration,
    usage: Usage,
    /// The last claim of another machine.
    conflict: Option<Conflict>,
    /// By interface index.
    seats: BTreeMap<u32, Seat>,
}

/// An interface on which the address is answered.
#[derive(Debug)]
struct Seat {
    name: String,
    mac: Mac,
    schedule: Schedule,
}

impl Claim {
    /// Takes an address that this node has won; it is answered nowhere yet.
    pub(crate) fn new(now: Duration, holding: Holding, refresh: Duration, first: FirstUse) -> Self {
        Self {
            address: holding.vip,
            since: holding.since,
            until: holding.until,
            refresh,
            usage: Usage::begin(now, first),
            conflict: None,
            seats: BTreeMap::new(),
        }
    }

    /// When the address was won.
    pub(crate) fn since(&self) -> Duration {
        self.since
    }

    /// How far its use has come.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// The last claim of another machine.
    pub(crate) fn conflict(&self) -> Option<Conflict> {
        self.conflict
    }

    /// The indices of the interfaces.
    pub(crate) fn seats(&self) -> impl Iterator<Item = u32> {
        self.seats.keys().copied()
    }

    /// The names of the interfaces, sorted.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let mut names: Vec<String> = self.seats.values().map(|seat| seat.name.clone()).collect();
        names.sort();
        names
    }

    /// Answers on exactly these interfaces for as long as the address is granted, and does what is due. An interface that
    /// is new, came back or changed its MAC is told to the neighbours.
    pub(crate) fn follow(
        &mut self,
        now: Duration,
        holding: Holding,
        interfaces: &[Interface],
        out: &mut VecDeque<Command>,
    ) {
        if holding.since != self.since {
            self.win_again(now, holding.since);
        }
        if holding.until != self.until {
            self.until = holding.until;
            if self.usage == Usage::Announced {
                self.answer_everywhere(out);
            }
        }
        self.seat(now, interfaces, out);
        self.probe(now, out);
        self.call(now, out);
    }

    /// How the neighbours are reminded from now on.
    pub(crate) fn set_refresh(&mut self, refresh: Duration) {
        if self.refresh != refresh {
            self.refresh = refresh;
            for seat in self.seats.values_mut() {
                seat.schedule.set_refresh(refresh);
            }
        }
    }

    /// Another machine claims the address.
    pub(crate) fn contest(
        &mut self,
        now: Duration,
        conflict: Conflict,
        policy: ConflictPolicy,
        out: &mut VecDeque<Command>,
    ) {
        let last = self.conflict.replace(conflict);
        match (self.usage, policy) {
            (Usage::Announced, ConflictPolicy::Defend) => self.defend(last, now, out),
            // A frame may be late or forged. Who has the address says so again when asked.
            (Usage::Announced, ConflictPolicy::Reallocate)
                if !last.is_some_and(|it| it.is_confirmed_by(conflict)) =>
            {
                self.defend(last, now, out);
                self.ask(out);
            }
            (Usage::Announced | Usage::Probing { .. }, _) => {
                self.usage = Usage::contested(now);
                self.answer_everywhere(out);
            }
            (Usage::Contested { .. }, _) => self.usage = Usage::contested(now),
        }
    }

    /// When the neighbours are told again.
    pub(crate) fn next_call(&self) -> Option<Duration> {
        match self.usage.next() {
            Some(next) => Some(next),
            None => self.seats.values().map(|seat| seat.schedule.next()).min(),
        }
    }

    /// Gives the address up.
    pub(crate) fn release(&self, out: &mut VecDeque<Command>) {
        out.extend(self.seats.keys().map(|index| self.silence(*index)));
    }

    fn defend(&mut self, last: Option<Conflict>, now: Duration, out: &mut VecDeque<Command>) {
        if Conflict::may_defend(last, &mut self.conflict, now) {
            for (index, seat) in &self.seats {
                tell(self.address, *index, seat.mac, out);
            }
        }
    }

    /// Asks whether somebody else has the address.
    fn ask(&self, out: &mut VecDeque<Command>) {
        for (index, seat) in &self.seats {
            out.push_back(Command::Send {
                interface: *index,
                frame: match self.address {
                    IpAddr::V4(address) => arp::probe(address, seat.mac),
                    IpAddr::V6(address) => ndp::probe(address, seat.mac),
                },
            });
        }
    }

    fn seat(&mut self, now: Duration, interfaces: &[Interface], out: &mut VecDeque<Command>) {
        let gone: Vec<u32> = self
            .seats
            .keys()
            .copied()
            .filter(|index| !interfaces.iter().any(|wanted| wanted.index == *index))
            .collect();
        for index in gone {
            self.seats.remove(&index);
            out.push_back(self.silence(index));
        }
        for interface in interfaces {
            let known = self
                .seats
                .get(&interface.index)
                .is_some_and(|seat| seat.mac == interface.mac);
            if known {
                continue;
            }
            let seat = Seat {
                name: interface.name.clone(),
                mac: interface.mac,
                schedule: Schedule::start(now, self.refresh),
            };
            out.push_back(self.answer(interface.index, interface.mac));
            self.seats.insert(interface.index, seat);
        }
    }

    /// Goes on with the questions before the first use.
    fn probe(&mut self, now: Duration, out: &mut VecDeque<Command>) {
        if self.usage.asks(now) {
            self.ask(out);
        }
        if self.usage.passes(now) {
            self.conflict = None;
            for seat in self.seats.values_mut() {
                seat.schedule = Schedule::start(now, self.refresh);
            }
            self.answer_everywhere(out);
        }
    }

    fn call(&mut self, now: Duration, out: &mut VecDeque<Command>) {
        if self.usage != Usage::Announced {
            return;
        }
        for (index, seat) in &mut self.seats {
            if seat.schedule.is_due(now) {
                tell(self.address, *index, seat.mac, out);
            }
        }
    }

    /// The neighbours may have heard somebody else meanwhile, so they are told from the start.
    fn win_again(&mut self, now: Duration, since: Duration) {
        self.since = since;
        for seat in self.seats.values_mut() {
            seat.schedule = Schedule::start(now, self.refresh);
        }
    }

    fn answer_everywhere(&self, out: &mut VecDeque<Command>) {
        let seats = self.seats.iter();
        out.extend(seats.map(|(index, seat)| self.answer(*index, seat.mac)));
    }

    /// While the address is not used the deadline is past: nothing is answered, and claims of others are noted.
    fn answer(&self, interface: u32, mac: Mac) -> Command {
        Command::Answer {
            address: self.address,
            interface,
            mac,
            until: match self.usage {
                Usage::Announced => self.until,
                Usage::Probing { .. } | Usage::Contested { .. } => Duration::ZERO,
            },
        }
    }

    fn silence(&self, interface: u32) -> Command {
        Command::Silence {
            address: self.address,
            interface,
        }
    }
}

fn tell(address: IpAddr, interface: u32, mac: Mac, out: &mut VecDeque<Command>) {
    let frames = match address {
        IpAddr::V4(address) => vec![
            arp::gratuitous_request(address, mac),
            arp::gratuitous_reply(address, mac),
        ],
        IpAddr::V6(address) => vec![ndp::unsolicited_advertisement(address, mac)],
    };
    for frame in frames {
        out.push_back(Command::Send { interface, frame });
    }
}
