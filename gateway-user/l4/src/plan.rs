//! What the maps should hold. Pure: a snapshot, this node's name and what they hold now make what they should hold.
//!
//! Ids stay: an endpoint or a service that was there keeps its id, so that flows keep their endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use gateway_common::addr::Address;
use gateway_common::endpoint::{Endpoint, EndpointId, Place, REFUSED};
use gateway_common::limits::{ENDPOINTS_MAX, POOL_PREFIXES_MAX, SERVICES_MAX, VIPS_MAX};
use gateway_common::maglev::{Candidate, fill, table_size};
use gateway_common::service::{Service, ServiceKey};
use gateway_common::sieve;
use gateway_ir::{NodeName, Protocol, ServiceTarget, Snapshot, WeightedEndpoint};

use crate::ApplyError;

/// Weighted endpoints of a service by id; [`REFUSED`] stands for the share without a backend.
pub(crate) type Members = Vec<(EndpointId, u32)>;

/// A Maglev table and what it was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) members: Members,
    pub(crate) slots: Vec<EndpointId>,
}

/// A prefix of a pool, in the form of the longest-prefix map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Prefix {
    pub(crate) bits: u32,
    pub(crate) address: Address,
}

/// What the maps hold, or should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) pools: BTreeSet<Prefix>,
    /// The words of the sieve that are not zero.
    pub(crate) sieve: BTreeMap<u32, u64>,
    pub(crate) vips: BTreeSet<Address>,
    /// Also entries that are free: their generation goes on when the id gets a new holder.
    pub(crate) endpoints: BTreeMap<EndpointId, Endpoint>,
    pub(crate) services: BTreeMap<ServiceKey, Service>,
    /// Tables by service id. A service that was found in the maps at the start has none here: it is written anew.
    pub(crate) tables: BTreeMap<u32, Table>,
}

/// Says what the maps should hold.
///
/// # Errors
/// When more is wanted than a map holds.
pub(crate) fn plan(snapshot: &Snapshot, node: &NodeName, now: &State) -> Result<State, ApplyError> {
    let vips = snapshot.vips.iter().map(|vip| vip.address.into()).collect();
    let mut next = State {
        pools: pools(snapshot),
        sieve: sieve(&vips),
        vips,
        ..State::default()
    };
    limit("pool prefixes", next.pools.len(), POOL_PREFIXES_MAX)?;
    limit("VIPs", next.vips.len(), VIPS_MAX)?;
    limit("L4 and L7 services", snapshot.services.len(), SERVICES_MAX)?;

    let (endpoints, ids) = place_endpoints(&wanted_endpoints(snapshot, node), &now.endpoints)?;
    next.endpoints = endpoints;
    let mut service_ids = free_service_ids(now);
    for service in &snapshot.services {
        let key = key_of(service);
        let id = match now.services.get(&key) {
            Some(known) => known.id(),
            None => service_ids.next().ok_or(ApplyError::TooMany {
                what: "L4 and L7 services, counting those on their way out",
                wanted: snapshot.services.len() + 1,
                max: SERVICES_MAX,
            })?,
        };
        let ServiceTarget::Endpoints { endpoints, refused } = &service.target else {
            next.services.insert(key, Service::proxied(id));
            continue;
        };
        let near = near(endpoints, node);
        let members = members(service.vip, &near, *refused, &ids);
        let table = match now.tables.get(&id) {
            Some(table) if table.members == members => table.clone(),
            _ => build(members, &next.endpoints),
        };
        // The table's size is at most 65537.
        let slots = u32::try_from(table.slots.len()).unwrap_or(u32::MAX);
        next.services.insert(key, Service::steered(id, slots));
        next.tables.insert(id, table);
    }
    Ok(next)
}

/// The map key of a service.
pub(crate) fn key_of(service: &gateway_ir::Service) -> ServiceKey {
    let protocol = match service.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    ServiceKey::new(service.vip.into(), service.port.to_be_bytes(), protocol)
}

fn limit(what: &'static str, wanted: usize, max: usize) -> Result<(), ApplyError> {
    if wanted > max {
        return Err(ApplyError::TooMany { what, wanted, max });
    }
    Ok(())
}

fn pools(snapshot: &Snapshot) -> BTreeSet<Prefix> {
    let ranges = snapshot.pools.iter().flat_map(|pool| &pool.ranges);
    ranges
        .flat_map(gateway_ir::AddressRange::prefixes)
        .map(|net| Prefix {
            bits: match net.addr() {
                IpAddr::V4(_) => Address::V4_PREFIX_BITS + u32::from(net.prefix_len()),
                IpAddr::V6(_) => u32::from(net.prefix_len()),
            },
            address: net.addr().into(),
        })
        .collect()
}

/// The sieve that lets exactly these addresses through, and those that share a bit with one.
fn sieve(vips: &BTreeSet<Address>) -> BTreeMap<u32, u64> {
    let mut sieve = BTreeMap::new();
    for vip in vips {
        let (word, bit) = sieve::place(vip);
        *sieve.entry(word).or_default() |= bit;
    }
    sieve
}

/// Endpoints of all services, each once. An endpoint without a node counts as here.
fn wanted_endpoints(snapshot: &Snapshot, node: &NodeName) -> BTreeMap<SocketAddr, Place> {
    let mut wanted = BTreeMap::new();
    for service in &snapshot.services {
        let ServiceTarget::Endpoints { endpoints, .. } = &service.target else {
            continue;
        };
        for endpoint in endpoints {
            let place = match &endpoint.node {
                Some(other) if other != node => Place::Elsewhere,
                Some(_) | None => Place::Here,
            };
            wanted
                .entry(endpoint.address)
                .and_modify(|known| {
                    if place == Place::Here {
                        *known = place;
                    }
                })
                .or_insert(place);
        }
    }
    wanted
}

type Placed = (
    BTreeMap<EndpointId, Endpoint>,
    BTreeMap<SocketAddr, EndpointId>,
);

/// Gives every endpoint an id: the one that it has, else one that nothing holds now.
fn place_endpoints(
    wanted: &BTreeMap<SocketAddr, Place>,
    now: &BTreeMap<EndpointId, Endpoint>,
) -> Result<Placed, ApplyError> {
    let held: BTreeMap<SocketAddr, EndpointId> = now
        .iter()
        .filter(|(_id, endpoint)| endpoint.place() != Place::Absent)
        .map(|(id, endpoint)| (socket_address(endpoint), *id))
        .collect();
    let mut endpoints: BTreeMap<EndpointId, Endpoint> = now
        .iter()
        .map(|(id, endpoint)| (*id, freed(endpoint)))
        .collect();
    let mut ids = BTreeMap::new();
    // Not the ids of endpoints that go now: until the change is complete, old tables still name them.
    let mut free = (1..=EndpointId::MAX).filter(|id| {
        now.get(id)
            .is_none_or(|endpoint| endpoint.place() == Place::Absent)
    });
    for (address, place) in wanted {
        let (id, generation) = match held.get(address) {
            Some(id) => (*id, now.get(id).map_or(0, Endpoint::generation)),
            None => {
                let id = free.next().ok_or(ApplyError::TooMany {
                    what: "endpoints, counting those on their way out",
                    wanted: wanted.len(),
                    max: ENDPOINTS_MAX - 1,
                })?;
                (
                    id,
                    now.get(&id)
                        .map_or(0, |old| old.generation().wrapping_add(1)),
                )
            }
        };
        let entry = Endpoint::new(address.ip().into(), address.port(), *place, generation);
        endpoints.insert(id, entry);
        ids.insert(*address, id);
    }
    Ok((endpoints, ids))
}

/// The entry once nobody wants the endpoint: only its generation is kept.
fn freed(endpoint: &Endpoint) -> Endpoint {
    Endpoint::new(
        Address::from_v6([0; 16]),
        0,
        Place::Absent,
        endpoint.generation(),
    )
}

fn socket_address(endpoint: &Endpoint) -> SocketAddr {
    let port = u16::from_be_bytes(endpoint.port());
    SocketAddr::new(endpoint.address().into(), port)
}

fn free_service_ids(now: &State) -> impl Iterator<Item = u32> {
    let held: BTreeSet<u32> = now.services.values().map(Service::id).collect();
    // SERVICES_MAX is far below 2^32.
    (0..u32::try_from(SERVICES_MAX).unwrap_or(u32::MAX)).filter(move |id| !held.contains(id))
}

/// The endpoints that new flows may get: those of this node, as packets go to no other yet. A node without any gets the
/// address only if there is no node with one; its flows are dropped and counted.
fn near(endpoints: &[WeightedEndpoint], node: &NodeName) -> Vec<WeightedEndpoint> {
    let is_here = |it: &&WeightedEndpoint| it.node.as_ref().is_none_or(|other| other == node);
    let here = endpoints.iter().filter(is_here);
    if here.clone().any(|it| it.weight > 0) {
        return here.cloned().collect();
    }
    endpoints.to_vec()
}

/// The members of a service's table. Only endpoints of the VIP's family: a packet cannot change its family.
fn members(
    vip: IpAddr,
    endpoints: &[WeightedEndpoint],
    refused: u32,
    ids: &BTreeMap<SocketAddr, EndpointId>,
) -> Members {
    let mut weights: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    for endpoint in endpoints {
        if endpoint.address.is_ipv4() == vip.is_ipv4() {
            let weight = weights.entry(endpoint.address).or_default();
            *weight = weight.saturating_add(endpoint.weight);
        }
    }
    let known = weights
        .into_iter()
        // An endpoint without a share is in the endpoint table, for its flows, and in no slot.
        .filter(|(_address, weight)| *weight > 0)
        .filter_map(|(address, weight)| Some((*ids.get(&address)?, weight)));
    let nothing = (refused > 0).then_some((REFUSED, refused));
    known.chain(nothing).collect()
}

/// Builds the table. Candidates come in the order of their addresses, and depend on nothing but these and weights.
fn build(members: Members, endpoints: &BTreeMap<EndpointId, Endpoint>) -> Table {
    let size = table_size(members.len());
    let mut candidates: Vec<Candidate> = members
        .iter()
        .map(|(id, weight)| match endpoints.get(id) {
            Some(endpoint) => Candidate::new(
                endpoint.address(),
                u16::from_be_bytes(endpoint.port()),
                *weight,
                size,
            ),
            None => Candidate::refused(*weight, size),
        })
        .collect();
    let mut slots = vec![REFUSED; usize::try_from(size).unwrap_or_default()];
    if fill(&mut slots, &mut candidates) {
        for slot in &mut slots {
            let member = members.get(usize::from(*slot));
            *slot = member.map_or(REFUSED, |(id, _weight)| *id);
        }
    }
    Table { members, slots }
}

#[cfg(test)]
mod tests;
