//! From a packet's addresses to what they mean: VIP, service, table, endpoint. Writes no packet.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use gateway_common::addr::Address;
use gateway_common::announce::{Answer, AnswerKey, Claim, MacBytes, Port};
use gateway_common::endpoint::{Endpoint, EndpointId, Place, REFUSED};
use gateway_common::flow::FlowKey;
use gateway_common::limits::SLOTS_PER_CHUNK;
use gateway_common::service::{Service, ServiceKey};
use gateway_common::sieve;

use crate::maps::{ANSWERS, CLAIMS, ENDPOINTS, POOLS, PORTS, SERVICES, SIEVE, TABLES, VIPS};

/// Whether an address may be a VIP. Of those that are none nearly all fall through.
#[inline(always)]
pub(crate) fn may_be_vip(address: &Address) -> bool {
    let (word, bit) = sieve::place(address);
    SIEVE.get(word).is_some_and(|bits| bits & bit != 0)
}

/// Whether an address is announced.
#[inline(always)]
pub(crate) fn is_vip(address: &Address) -> bool {
    VIPS.get_ptr(address).is_some()
}

/// Whether an address belongs to a pool, announced or not.
#[inline(always)]
pub(crate) fn is_in_pool(address: Address) -> bool {
    POOLS.get(&Key::new(128, address)).is_some()
}

/// The Ethernet address of an interface.
#[inline(always)]
pub(crate) fn mac_of(interface: u32) -> Option<MacBytes> {
    let port = PORTS.get(Port::slot(interface))?;
    (port.interface() == interface).then_some(port.mac())
}

/// The permission to answer for an address, whether it has expired or not.
#[inline(always)]
pub(crate) fn answer(address: Address, interface: u32) -> Option<Answer> {
    let entry = ANSWERS.get_ptr(AnswerKey::new(address, interface))?;
    // SAFETY: map memory stays valid while the program runs.
    Some(unsafe { *entry })
}

/// Notes for user space that another machine claims an address. A lost note costs nothing: claims come again.
#[inline(always)]
pub(crate) fn note_claim(address: Address, interface: u32, mac: MacBytes) {
    // SAFETY: takes nothing and reads a clock.
    let now = unsafe { bpf_ktime_get_ns() };
    let claim = Claim::new(mac, now);
    let _full = CLAIMS.insert(
        AnswerKey::new(address, interface),
        claim,
        u64::from(BPF_ANY),
    );
}

/// The frontend behind a VIP's port.
#[inline(always)]
pub(crate) fn service(vip: Address, port: [u8; 2], protocol: u8) -> Option<Service> {
    let service = SERVICES.get_ptr(ServiceKey::new(vip, port, protocol))?;
    // SAFETY: map memory stays readable while the program runs; the value is 8 bytes, copied at once.
    Some(unsafe { *service })
}

/// The endpoint with an id.
#[inline(always)]
pub(crate) fn endpoint(id: EndpointId) -> Option<&'static Endpoint> {
    ENDPOINTS.get(u32::from(id))
}

/// The endpoint that a service's table has for a new flow; none: the flow's share is refused.
#[inline(always)]
pub(crate) fn pick(service: &Service, key: &FlowKey) -> Option<(EndpointId, &'static Endpoint)> {
    let slot = service.slot(key.hash());
    let chunk = TABLES.get_value(service.id(), &(slot / SLOTS_PER_CHUNK as u32))?;
    // The mask repeats what the division left, in a form that the verifier follows.
    let id = *chunk.slots.get(slot as usize & (SLOTS_PER_CHUNK - 1))?;
    if id == REFUSED {
        return None;
    }
    let endpoint = endpoint(id)?;
    match endpoint.place() {
        Place::Absent => None,
        Place::Here | Place::Elsewhere => Some((id, endpoint)),
    }
}
