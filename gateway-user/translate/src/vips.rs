//! Which Gateway gets which address: a pure function of pools and Gateways, so that every node computes the same.
//!
//! A Gateway keeps what its status says that it has, so that no other takes it away. What is free goes to those that ask
//! for it, the oldest first. The others start to look for a free address at a place in the pool that follows from the
//! Gateway's name alone: where there is no status, a Gateway that comes or goes moves another one only if both want the
//! same place.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gateway_ir::{AddressRange, ObjectName, Pool, Vip};

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
            let mut pools = Pools::new(inputs, &config.pools);
            accepted.iter_mut().for_each(|it| pools.keep(it));
            accepted.iter_mut().for_each(|it| pools.grant_wishes(it));
            accepted.iter_mut().for_each(|it| pools.assign_rest(it));
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
    taken: BTreeMap<IpAddr, ObjectName>,
}

impl<'a> Pools<'a> {
    fn new(inputs: &'a Inputs, pools: &'a [ConfiguredPool]) -> Self {
        Self {
            inputs,
            pools,
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
                needs_choice(gateway) && self.is_automatic(address)
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
        match self.any(&gateway.model.meta.name) {
            Ok(vip) => give(gateway, vip),
            Err(message) => {
                let problem = Problem::new(Reason::AddressNotAssigned, message);
                gateway.unassigned.get_or_insert(problem);
            }
        }
    }

    /// An IPv4 address; an IPv6 one only where no pool has IPv4, because gate 2 does not steer IPv6 yet.
    fn any(&mut self, gateway: &ObjectName) -> Result<Vip, String> {
        let open = |pool: &&ConfiguredPool| {
            pool.assign == Assign::Automatic && self.may_use(pool, gateway)
        };
        let open: Vec<&ConfiguredPool> = self.pools.iter().filter(open).collect();
        if open.is_empty() {
            return Err(format!(
                "no address pool assigns addresses by itself to namespace {}: set spec.addresses",
                gateway.namespace
            ));
        }
        let is_ipv4 = |range: &AddressRange| range.first().is_ipv4();
        let has_ipv4 = open.iter().any(|pool| pool.pool.ranges.iter().any(is_ipv4));
        for pool in &open {
            let ranges = pool
                .pool
                .ranges
                .iter()
                .filter(|range| is_ipv4(range) == has_ipv4);
            let ranges: Vec<AddressRange> = ranges.copied().collect();
            if let Some(address) = self.free(&ranges, gateway) {
                return Ok(self.take(address, pool, gateway));
            }
        }
        let names: Vec<&str> = open.iter().map(|pool| pool.pool.name.as_str()).collect();
        Err(format!(
            "every address of pool {} is in use",
            names.join(", ")
        ))
    }

    /// The first free address from the Gateway's own place on.
    fn free(&self, ranges: &[AddressRange], gateway: &ObjectName) -> Option<IpAddr> {
        let total: u128 = ranges.iter().map(size).sum();
        let start = u128::from(place(gateway)).checked_rem(total)?;
        // One more try than addresses are taken is enough, however large the pool is.
        let tries = total.min(self.taken.len() as u128 + 1);
        (0..tries)
            .filter_map(|step| nth(ranges, (start + step) % total))
            .find(|address| !self.taken.contains_key(address))
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
        }
    }
}

/// Adds an address to those that a Gateway has.
fn give(gateway: &mut GatewayState, vip: Vip) {
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
