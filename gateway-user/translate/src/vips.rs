//! Which Gateway gets which address: a pure function of pools and Gateways, so that every node computes the same.
//!
//! A Gateway keeps what its status says that it has, so that no other takes it away. What is free goes to those that ask
//! for it, the oldest first. The others start to look for a free address at a place in the pool that follows from the
//! Gateway's name alone: where there is no status, a Gateway that comes or goes moves another one only if both want the
//! same place. Addresses that other machines have are the last that are chosen, and no Gateway keeps one that it did not
//! name while another is free.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gateway_ir::{AddressRange, Choice, Mac, ObjectName, Pool, Vip};

use crate::Settings;
use crate::config::{Addressing, Config};
use crate::conv::config::{Assign, ConfiguredPool};
use crate::conv::meta::namespace_labels;
use crate::inputs::Inputs;
use crate::listener::{Addresses, GatewayState};
use crate::model::{AddressWish, Problem};
use crate::status::Reason;

/// Gives every accepted Gateway its addresses.
pub(crate) fn assign(
    inputs: &Inputs,
    config: &Config,
    settings: &Settings,
    gateways: &mut BTreeMap<ObjectName, GatewayState>,
) {
    for gateway in gateways.values_mut() {
        let mut wishes = gateway.model.wishes.iter();
        let unsupported = wishes.find_map(|wish| match wish {
            AddressWish::Unsupported(why) => Some(why.clone()),
            AddressWish::Any | AddressWish::Address(_) => None,
        });
        let unsupported = unsupported.map(|why| Problem::new(Reason::UnsupportedAddress, why));
        gateway.refused = gateway.refused.take().or(unsupported);
    }
    let accepted = gateways.values_mut().filter(|it| it.refused.is_none());
    match config.addressing {
        Addressing::Local(_) => accepted.for_each(|it| assign_local(it, settings)),
        Addressing::Pools => {
            let mut accepted: Vec<&mut GatewayState> = accepted.collect();
            accepted.sort_by(|a, b| a.model.meta.age().cmp(&b.model.meta.age()));
            let mut pools = Pools::new(inputs, &config.pools, &settings.aside);
            accepted.iter_mut().for_each(|it| pools.keep(it));
            accepted.iter_mut().for_each(|it| pools.grant_wishes(it));
            accepted.iter_mut().for_each(|it| pools.assign_rest(it));
            if !settings.aside.is_empty() {
                let accepted = accepted.iter_mut();
                accepted.for_each(|it| it.avoided = pools.avoided(it));
            }
        }
    }
}

/// Without pools: the machine's addresses that are asked for, or all.
fn assign_local(gateway: &mut GatewayState, settings: &Settings) {
    let mut addresses = Vec::new();
    for wish in &gateway.model.wishes {
        let AddressWish::Address(address) = wish else {
            continue;
        };
        let own = &settings.own_addresses;
        if own.is_empty()
            || own.contains(address)
            || address.is_loopback()
            || address.is_unspecified()
        {
            addresses.push(*address);
        } else {
            let message =
                format!("{address} is not an address of this machine, and nothing is announced");
            let problem = Problem::new(Reason::AddressNotUsable, message);
            gateway.unassigned.get_or_insert(problem);
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    gateway.addresses = if addresses.is_empty() && gateway.unassigned.is_some() {
        Addresses::None
    } else {
        Addresses::Local(addresses)
    };
}

/// The pools with what is taken of them.
struct Pools<'a> {
    inputs: &'a Inputs,
    pools: &'a [ConfiguredPool],
    /// What other machines have.
    aside: &'a BTreeMap<IpAddr, Mac>,
    taken: BTreeMap<IpAddr, ObjectName>,
}

impl<'a> Pools<'a> {
    fn new(
        inputs: &'a Inputs,
        pools: &'a [ConfiguredPool],
        aside: &'a BTreeMap<IpAddr, Mac>,
    ) -> Self {
        Self {
            inputs,
            pools,
            aside,
            taken: BTreeMap::new(),
        }
    }

    /// Leaves a Gateway what it has: the addresses that it names, and one more if it leaves a choice to us.
    fn keep(&mut self, gateway: &mut GatewayState) {
        let name = gateway.model.meta.name.clone();
        for address in gateway.model.held.clone() {
            let is_wanted = if is_named(gateway, address) {
                true
            } else {
                needs_choice(gateway)
                    && self.is_automatic(address)
                    && !self.aside.contains_key(&address)
            };
            if is_wanted && let Ok(vip) = self.claim(address, &name) {
                give(gateway, vip);
            }
        }
    }

    fn is_automatic(&self, address: IpAddr) -> bool {
        let mut pools = self.pools.iter();
        let pool = pools.find(|it| it.pool.contains(address));
        pool.is_some_and(|it| it.assign == Assign::Automatic)
    }

    /// Gives a Gateway the addresses that it names.
    fn grant_wishes(&mut self, gateway: &mut GatewayState) {
        let name = gateway.model.meta.name.clone();
        for wish in gateway.model.wishes.clone() {
            let AddressWish::Address(address) = wish else {
                continue;
            };
            match self.claim(address, &name) {
                Ok(vip) => give(gateway, vip),
                Err(message) => {
                    let problem = Problem::new(Reason::AddressNotUsable, message);
                    gateway.unassigned.get_or_insert(problem);
                }
            }
        }
    }

    fn claim(&mut self, address: IpAddr, gateway: &ObjectName) -> Result<Vip, String> {
        let pool = self.pools.iter().find(|pool| pool.pool.contains(address));
        let pool = pool.ok_or_else(|| format!("no address pool holds {address}"))?;
        if !self.may_use(pool, gateway) {
            let name = &pool.pool.name;
            return Err(format!(
                "{address} is of pool {name}, which is not open to namespace {}",
                gateway.namespace
            ));
        }
        match self.taken.get(&address) {
            Some(owner) if owner != gateway => {
                Err(format!("{address} belongs to Gateway {owner} already"))
            }
            Some(_) | None => Ok(self.take(address, pool, gateway)),
        }
    }

    /// Gives a Gateway that leaves the choice to us an address.
    fn assign_rest(&mut self, gateway: &mut GatewayState) {
        if !needs_choice(gateway) {
            return;
        }
        match self.any(&gateway.model.meta.name, &gateway.model.held) {
            Ok(vip) => give(gateway, vip),
            Err(message) => {
                let problem = Problem::new(Reason::AddressNotAssigned, message);
                gateway.unassigned.get_or_insert(problem);
            }
        }
    }

    /// An IPv4 address; an IPv6 one only where no pool has IPv4. What another machine has comes last, and of that what the
    /// Gateway has already comes first.
    fn any(&mut self, gateway: &ObjectName, held: &[IpAddr]) -> Result<Vip, String> {
        let open = self.open(gateway);
        let Some((first, _)) = open.first() else {
            return Err(format!(
                "no address pool assigns addresses by itself to namespace {}: set spec.addresses",
                gateway.namespace
            ));
        };
        let is_free = |address: &IpAddr| !self.taken.contains_key(address);
        let mut all = open.iter().map(|(_, ranges)| ranges.as_slice());
        let best = all.find_map(|ranges| {
            let mut addresses = self.in_order(ranges, gateway);
            addresses.find(|it| is_free(it) && !self.aside.contains_key(it))
        });
        let kept = || {
            let mut held = held.iter().copied().filter(is_free);
            held.find(|address| open.iter().any(|(pool, _)| pool.pool.contains(*address)))
        };
        let last = || {
            let mut all = open.iter().map(|(_, ranges)| ranges.as_slice());
            all.find_map(|ranges| self.in_order(ranges, gateway).find(is_free))
        };
        let found = best.or_else(kept).or_else(last);
        let pool = |address: IpAddr| open.iter().find(|(it, _)| it.pool.contains(address));
        match found {
            Some(address) => {
                let pool = pool(address).map_or(*first, |it| it.0);
                Ok(self.take(address, pool, gateway))
            }
            None => {
                let names: Vec<&str> = open.iter().map(|it| it.0.pool.name.as_str()).collect();
                let names = names.join(", ");
                Err(format!("every address of pool {names} is in use"))
            }
        }
    }

    /// The pools that assign addresses by themselves to a Gateway, with the ranges of the family that they do it from.
    fn open(&self, gateway: &ObjectName) -> Vec<(&'a ConfiguredPool, Vec<AddressRange>)> {
        let open = |pool: &&ConfiguredPool| {
            pool.assign == Assign::Automatic && self.may_use(pool, gateway)
        };
        let open: Vec<&ConfiguredPool> = self.pools.iter().filter(open).collect();
        let is_ipv4 = |range: &AddressRange| range.first().is_ipv4();
        let has_ipv4 = open.iter().any(|pool| pool.pool.ranges.iter().any(is_ipv4));
        let with_ranges = |pool: &'a ConfiguredPool| {
            let ranges = pool.pool.ranges.iter();
            let ranges = ranges.filter(|range| is_ipv4(range) == has_ipv4);
            (pool, ranges.copied().collect())
        };
        open.into_iter().map(with_ranges).collect()
    }

    /// The addresses of ranges from the Gateway's own place on, each once. One more than are taken or set aside is enough,
    /// however large the pool is.
    fn in_order(
        &self,
        ranges: &[AddressRange],
        gateway: &ObjectName,
    ) -> impl Iterator<Item = IpAddr> {
        let total: u128 = ranges.iter().map(size).sum();
        let start = u128::from(place(gateway)).checked_rem(total);
        let tries = total.min((self.taken.len() + self.aside.len()) as u128 + 1);
        let steps = start
            .into_iter()
            .flat_map(move |start| (0..tries).map(move |step| (start + step) % total));
        steps.filter_map(|index| nth(ranges, index))
    }

    /// The addresses before the one that a Gateway has been given, or that it had, which other machines have.
    fn avoided(&self, gateway: &GatewayState) -> Vec<(IpAddr, Mac)> {
        let Addresses::Vips(vips) = &gateway.addresses else {
            return Vec::new();
        };
        let name = &gateway.model.meta.name;
        let mut vips = vips.iter();
        let Some(given) = vips.find(|vip| vip.choice == Choice::Automatic) else {
            return Vec::new();
        };
        let open = self.open(name);
        let before = open
            .iter()
            .flat_map(|(_, ranges)| self.in_order(ranges, name));
        let before = before.take_while(|address| *address != given.address);
        let all: BTreeSet<IpAddr> = before.chain(gateway.model.held.iter().copied()).collect();
        let all = all.into_iter().filter(|address| *address != given.address);
        all.filter_map(|address| Some((address, *self.aside.get(&address)?)))
            .collect()
    }

    fn may_use(&self, pool: &ConfiguredPool, gateway: &ObjectName) -> bool {
        let labels = || namespace_labels(self.inputs, &gateway.namespace);
        pool.namespaces
            .as_ref()
            .is_none_or(|selector| selector.matches(&labels()))
    }

    fn take(&mut self, address: IpAddr, pool: &ConfiguredPool, gateway: &ObjectName) -> Vip {
        let Pool { name, .. } = &pool.pool;
        self.taken.insert(address, gateway.clone());
        Vip {
            address,
            gateway: gateway.clone(),
            pool: name.clone(),
            choice: Choice::Automatic,
        }
    }
}

/// Adds an address to those that a Gateway has.
fn give(gateway: &mut GatewayState, mut vip: Vip) {
    if is_named(gateway, vip.address) {
        vip.choice = Choice::Named;
    }
    match &mut gateway.addresses {
        Addresses::Vips(vips) => {
            if !vips.contains(&vip) {
                vips.push(vip);
                vips.sort();
            }
        }
        Addresses::None | Addresses::Local(_) => gateway.addresses = Addresses::Vips(vec![vip]),
    }
}

fn is_named(gateway: &GatewayState, address: IpAddr) -> bool {
    let wishes = &gateway.model.wishes;
    wishes.contains(&AddressWish::Address(address))
}

/// Whether a Gateway leaves a choice to us that has not been made yet.
fn needs_choice(gateway: &GatewayState) -> bool {
    let wishes = &gateway.model.wishes;
    let has_choice = match &gateway.addresses {
        Addresses::Vips(vips) => vips.iter().any(|it| !is_named(gateway, it.address)),
        Addresses::None | Addresses::Local(_) => false,
    };
    !has_choice && (wishes.is_empty() || wishes.contains(&AddressWish::Any))
}

/// FNV-1a of the name: the same in every build, for an address must outlive an upgrade.
fn place(gateway: &ObjectName) -> u64 {
    let bytes = gateway
        .namespace
        .bytes()
        .chain([b'/'])
        .chain(gateway.name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn size(range: &AddressRange) -> u128 {
    bits(range.last()).abs_diff(bits(range.first())) + 1
}

fn nth(ranges: &[AddressRange], mut index: u128) -> Option<IpAddr> {
    for range in ranges {
        if index < size(range) {
            let bits = bits(range.first()) + index;
            return Some(match range.first() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(bits).ok()?)),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(bits)),
            });
        }
        index -= size(range);
    }
    None
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

#[cfg(test)]
mod tests;
