//! Addresses that other machines have: what this node says of those that it holds, and the set of those that no Gateway is to
//! have, which all nodes agree on by telling each other.
//!
//! An address stays in the set until the configuration does not want it there any more, or the last node that knows of it
//! has ended. So the set only grows while nothing is configured, and nodes need no clock to have the same one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::{AddressRange, Mac};

use super::Membership;
use super::grants::Change;
use super::heartbeat::{Course, Foreign};

/// Addresses that are set aside at most, of more the lowest: every heartbeat names them all.
const ASIDE_MAX: usize = 64;

/// The addresses of the LAN that are not ours alone.
#[derive(Debug, Default)]
pub(super) struct Aside {
    movable: Vec<AddressRange>,
    set: BTreeMap<IpAddr, Mac>,
    /// Of the addresses that this node holds, sorted.
    held: Vec<Foreign>,
}

impl Aside {
    /// Takes over which addresses may be set aside, and forgets the others.
    pub(super) fn follow(&mut self, movable: &[AddressRange]) {
        self.movable = movable.to_vec();
        let is_movable = |address: &IpAddr| movable.iter().any(|it| it.contains(*address));
        self.set.retain(|address, _| is_movable(address));
    }

    /// Takes over what another node has set aside.
    pub(super) fn learn(&mut self, foreign: &[Foreign]) -> Change {
        let mut change = Change::Nothing;
        for it in foreign.iter().filter(|it| it.course == Course::SetAside) {
            if self.put(it.address, it.mac) == Change::Told {
                change = Change::Told;
            }
        }
        change
    }

    /// What the heartbeats say.
    pub(super) fn list(&self) -> Vec<Foreign> {
        let aside = self.set.iter().map(|(address, mac)| Foreign {
            address: *address,
            course: Course::SetAside,
            mac: *mac,
        });
        let mut list: Vec<Foreign> = self.held.iter().copied().chain(aside).collect();
        list.sort_unstable();
        list
    }

    fn put(&mut self, address: IpAddr, mac: Mac) -> Change {
        let is_movable = self.movable.iter().any(|it| it.contains(address));
        if !is_movable || self.set.contains_key(&address) {
            return Change::Nothing;
        }
        self.set.insert(address, mac);
        let dropped = if self.set.len() > ASIDE_MAX {
            self.set.pop_last()
        } else {
            None
        };
        Change::from(dropped.is_none_or(|(last, _)| last != address))
    }
}

impl Membership {
    /// Has every node set an address aside, which another machine has.
    pub(crate) fn set_aside(&mut self, address: IpAddr, mac: Mac) {
        self.eager |= self.aside.put(address, mac) == Change::Told;
    }

    /// The addresses that are set aside, and who has them.
    pub(crate) fn aside(&self) -> &BTreeMap<IpAddr, Mac> {
        &self.aside.set
    }

    /// Takes over which of the addresses that this node holds other machines have, sorted.
    pub(crate) fn contend(&mut self, held: Vec<Foreign>) {
        if self.aside.held != held {
            self.aside.held = held;
            self.eager = true;
        }
    }

    /// The machine that has an address which some node of ours holds, as far as that node says.
    pub(crate) fn foreign(&self, now: Duration, vip: IpAddr) -> Option<Foreign> {
        let patience = self.scene.terms.grant();
        let fresh = self.peers.values();
        let fresh = fresh.filter(|it| it.is_fresh(now, patience));
        let told = fresh.flat_map(|it| &it.foreign);
        let mut all = self.aside.held.iter().chain(told);
        let found = all.find(|it| it.address == vip && it.course != Course::SetAside)?;
        let is_aside = found.course == Course::Withheld && self.aside.set.contains_key(&vip);
        Some(Foreign {
            course: if is_aside {
                Course::SetAside
            } else {
                found.course
            },
            ..*found
        })
    }
}
