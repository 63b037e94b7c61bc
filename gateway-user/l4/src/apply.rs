//! From what the maps hold to what they should hold: the difference, in an order that is right at every step.
//!
//! A packet that meets the maps between two writes finds the old configuration or the new one, never a table that
//! names a missing endpoint, nor a service without its table.

use std::collections::BTreeMap;

use gateway_common::addr::Address;
use gateway_common::endpoint::{Endpoint, EndpointId, Place};
use gateway_common::service::{Service, ServiceKey};

use crate::ApplyError;
use crate::plan::{Prefix, State, Table};

/// One write to one map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    SetPool(Prefix),
    RemovePool(Prefix),
    SetSieve(u32, u64),
    SetVip(Address),
    RemoveVip(Address),
    SetEndpoint(EndpointId, Endpoint),
    SetTable(u32, Table),
    /// Frees the memory of a table that no service uses.
    RemoveTable(u32),
    SetService(ServiceKey, Service),
    RemoveService(ServiceKey),
    /// Sets the traffic counters of an id with a new holder to zero.
    ClearTraffic(u32),
}

/// Where writes go: the kernel, or a stand-in.
pub(crate) trait Maps {
    /// Does one write.
    fn write(&mut self, write: &Write) -> Result<(), ApplyError>;
}

/// Brings the maps from one state to another. After an error `now` says what was written, and the next call goes on.
///
/// # Errors
/// The first write that fails.
pub(crate) fn apply(maps: &mut impl Maps, now: &mut State, next: &State) -> Result<(), ApplyError> {
    for write in writes(now, next) {
        maps.write(&write)?;
        now.record(write);
    }
    Ok(())
}

/// The writes, in order: what others point to comes first and goes last.
pub(crate) fn writes(now: &State, next: &State) -> Vec<Write> {
    let mut writes = Vec::new();
    writes.extend(
        next.pools
            .difference(&now.pools)
            .copied()
            .map(Write::SetPool),
    );
    let (arriving, leaving): (Vec<_>, Vec<_>) = changed(&now.endpoints, &next.endpoints)
        .partition(|(_id, endpoint)| endpoint.place() != Place::Absent);
    writes.extend(arriving.into_iter().map(set_endpoint));

    let tables = || {
        changed(&now.tables, &next.tables).map(|(id, table)| Write::SetTable(*id, table.clone()))
    };
    let shrinks =
        |write: &Write| matches!(write, Write::SetTable(id, table) if shrinks(now, *id, table));
    writes.extend(tables().filter(|write| !shrinks(write)));
    for (key, service) in changed(&now.services, &next.services) {
        if !now.services.contains_key(key) {
            writes.push(Write::ClearTraffic(service.id()));
        }
        writes.push(Write::SetService(*key, *service));
    }
    // With the old, larger number of slots the end of a smaller table would be missed.
    writes.extend(tables().filter(|write| shrinks(write)));
    let widened = widened(&now.sieve, &next.sieve);
    writes.extend(changes_of_sieve(&now.sieve, &widened));
    writes.extend(next.vips.difference(&now.vips).copied().map(Write::SetVip));

    writes.extend(
        now.vips
            .difference(&next.vips)
            .copied()
            .map(Write::RemoveVip),
    );
    writes.extend(changes_of_sieve(&widened, &next.sieve));
    let gone = now
        .services
        .keys()
        .filter(|key| !next.services.contains_key(key));
    writes.extend(gone.copied().map(Write::RemoveService));
    let unused = now.tables.keys().filter(|id| !next.tables.contains_key(id));
    writes.extend(unused.copied().map(Write::RemoveTable));
    writes.extend(leaving.into_iter().map(set_endpoint));
    writes.extend(
        now.pools
            .difference(&next.pools)
            .copied()
            .map(Write::RemovePool),
    );
    writes
}

/// The sieve that lets through what either of two does.
fn widened(now: &BTreeMap<u32, u64>, next: &BTreeMap<u32, u64>) -> BTreeMap<u32, u64> {
    let mut both = now.clone();
    for (word, bits) in next {
        *both.entry(*word).or_default() |= bits;
    }
    both
}

fn changes_of_sieve(from: &BTreeMap<u32, u64>, to: &BTreeMap<u32, u64>) -> Vec<Write> {
    let cleared = from.keys().filter(|word| !to.contains_key(word));
    changed(from, to)
        .map(|(word, bits)| Write::SetSieve(*word, *bits))
        .chain(cleared.map(|word| Write::SetSieve(*word, 0)))
        .collect()
}

fn set_endpoint((id, endpoint): (&EndpointId, &Endpoint)) -> Write {
    Write::SetEndpoint(*id, *endpoint)
}

fn changed<'a, K: Ord, V: PartialEq>(
    now: &'a BTreeMap<K, V>,
    next: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    next.iter()
        .filter(|(key, value)| now.get(key) != Some(value))
}

fn shrinks(now: &State, id: u32, table: &Table) -> bool {
    let service = now.services.values().find(|service| service.id() == id);
    let slots = service.map_or(0, Service::slots);
    usize::try_from(slots).is_ok_and(|slots| slots > table.slots.len())
}

impl State {
    /// Notes that a write was done.
    pub(crate) fn record(&mut self, write: Write) {
        match write {
            Write::SetPool(prefix) => {
                self.pools.insert(prefix);
            }
            Write::RemovePool(prefix) => {
                self.pools.remove(&prefix);
            }
            Write::SetSieve(word, 0) => {
                self.sieve.remove(&word);
            }
            Write::SetSieve(word, bits) => {
                self.sieve.insert(word, bits);
            }
            Write::SetVip(vip) => {
                self.vips.insert(vip);
            }
            Write::RemoveVip(vip) => {
                self.vips.remove(&vip);
            }
            Write::SetEndpoint(id, endpoint) => {
                self.endpoints.insert(id, endpoint);
            }
            Write::SetTable(id, table) => {
                self.tables.insert(id, table);
            }
            Write::RemoveTable(id) => {
                self.tables.remove(&id);
            }
            Write::SetService(key, service) => {
                self.services.insert(key, service);
            }
            Write::RemoveService(key) => {
                self.services.remove(&key);
            }
            Write::ClearTraffic(_id) => {}
        }
    }
}

#[cfg(test)]
mod tests;
