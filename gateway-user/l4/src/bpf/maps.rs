//! The maps as the kernel has them: typed handles, the check of pinned ones, reads and writes.

use std::fmt;
use std::path::Path;

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{
    Array, ArrayOfMaps, HashMap, LpmTrie, Map, MapData, MapError, MapInfo, PerCpuArray,
    PerCpuValues, SockMap,
};
use gateway_common::addr::Address;
use gateway_common::announce::{Answer, AnswerKey, Claim, Port};
use gateway_common::counter::Counter;
use gateway_common::endpoint::{Endpoint, EndpointId, Place};
use gateway_common::flow::{Flow, FlowKey, Reply};
use gateway_common::limits::{
    ANSWERS_MAX, CLAIMS_MAX, ENDPOINTS_MAX, FLOWS_MAX, OPENINGS_MAX, POOL_PREFIXES_MAX, PORTS_MAX,
    SERVICES_MAX, SLOTS_PER_CHUNK, SOCKETS_MAX, VIPS_MAX,
};
use gateway_common::service::{Chunk, Service, ServiceKey, Traffic};
use gateway_common::sieve;

use crate::apply::{Maps, Write};
use crate::plan::{Prefix, State, Table};
use crate::{ApplyError, OpenError};

/// `BPF_F_INNER_MAP` of `linux/bpf.h`: inner arrays of one outer map may differ in length.
const INNER_MAP: u32 = 1 << 12;

/// What a map must look like.
pub(super) struct Shape {
    pub(super) name: &'static str,
    key: usize,
    value: usize,
    entries: usize,
}

const fn shape<K, V>(name: &'static str, entries: usize) -> Shape {
    Shape {
        name,
        key: size_of::<K>(),
        value: size_of::<V>(),
        entries,
    }
}

/// All maps, with the names and types of `gateway-ebpf/src/maps.rs`.
pub(super) const SHAPES: &[Shape] = &[
    shape::<u32, u32>("XDP_IPV6", 1),
    shape::<u32, u32>("INGRESS_IPV6", 1),
    shape::<u32, Port>("PORTS", PORTS_MAX),
    shape::<Key<Address>, u32>("POOLS", POOL_PREFIXES_MAX),
    shape::<AnswerKey, Answer>("ANSWERS", ANSWERS_MAX),
    shape::<AnswerKey, Claim>("CLAIMS", CLAIMS_MAX),
    shape::<u32, u64>("SIEVE", sieve::WORDS),
    shape::<Address, u32>("VIPS", VIPS_MAX),
    shape::<ServiceKey, Service>("SERVICES", SERVICES_MAX),
    shape::<u32, Endpoint>("ENDPOINTS", ENDPOINTS_MAX),
    shape::<u32, u32>("TABLES", SERVICES_MAX),
    shape::<FlowKey, Flow>("FLOWS", FLOWS_MAX),
    shape::<FlowKey, Reply>("REPLIES", FLOWS_MAX),
    shape::<FlowKey, Flow>("OPENINGS", OPENINGS_MAX),
    shape::<FlowKey, Reply>("OPENING_REPLIES", OPENINGS_MAX),
    shape::<u32, u32>("SOCKETS", SOCKETS_MAX),
    shape::<u32, u32>("SOCKETS_IPV6", SOCKETS_MAX),
    shape::<u32, u32>("SOCKET_COUNT", 2),
    shape::<u32, u64>("COUNTERS", Counter::ALL.len()),
    shape::<u32, Traffic>("TRAFFIC", SERVICES_MAX),
];

/// Refuses pinned maps of another shape: the loader takes whatever is pinned.
pub(super) fn check_pins(pins: &Path) -> Result<(), OpenError> {
    for shape in SHAPES {
        let path = pins.join(shape.name);
        if !path.exists() {
            continue;
        }
        let info = MapInfo::from_pin(&path).map_err(super::refused)?;
        let found = [info.key_size(), info.value_size(), info.max_entries()];
        let wanted = [shape.key, shape.value, shape.entries];
        if found.map(usize::try_from) != wanted.map(Ok) {
            return Err(OpenError::ForeignMap { path });
        }
    }
    Ok(())
}

/// Takes a map out of the loaded object.
pub(super) fn take(object: &mut Ebpf, name: &str) -> Result<Map, MapError> {
    object.take_map(name).ok_or_else(|| MapError::InvalidName {
        name: name.to_owned(),
    })
}

/// Handles of gate 2's maps, as far as user space reads or writes them.
pub(crate) struct KernelMaps {
    ports: Array<MapData, Port>,
    pools: LpmTrie<MapData, Address, u32>,
    sieve: Array<MapData, u64>,
    vips: HashMap<MapData, Address, u32>,
    services: HashMap<MapData, ServiceKey, Service>,
    endpoints: Array<MapData, Endpoint>,
    tables: ArrayOfMaps<MapData, Array<MapData, Chunk>>,
    sockets: [SockMap<MapData>; 2],
    socket_count: Array<MapData, u32>,
    counters: PerCpuArray<MapData, u64>,
    traffic: PerCpuArray<MapData, Traffic>,
}

// The library's handles do not print themselves.
impl fmt::Debug for KernelMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelMaps").finish_non_exhaustive()
    }
}

impl KernelMaps {
    pub(super) fn take(object: &mut Ebpf) -> Result<Self, MapError> {
        let mut map = |name| take(object, name);
        Ok(Self {
            ports: map("PORTS")?.try_into()?,
            pools: map("POOLS")?.try_into()?,
            sieve: map("SIEVE")?.try_into()?,
            vips: map("VIPS")?.try_into()?,
            services: map("SERVICES")?.try_into()?,
            endpoints: map("ENDPOINTS")?.try_into()?,
            tables: map("TABLES")?.try_into()?,
            sockets: [
                map("SOCKETS")?.try_into()?,
                map("SOCKETS_IPV6")?.try_into()?,
            ],
            socket_count: map("SOCKET_COUNT")?.try_into()?,
            counters: map("COUNTERS")?.try_into()?,
            traffic: map("TRAFFIC")?.try_into()?,
        })
    }

    /// Reads what a former process wrote. Tables are not read: they are written anew.
    pub(crate) fn read(&self) -> Result<State, ApplyError> {
        let mut state = State::default();
        for prefix in self.pools.keys() {
            let prefix = prefix.map_err(error("POOLS"))?;
            state.pools.insert(Prefix {
                bits: prefix.prefix_len(),
                address: prefix.data(),
            });
        }
        for (word, bits) in (0..).zip(self.sieve.iter()) {
            let bits = bits.map_err(error("SIEVE"))?;
            if bits != 0 {
                state.sieve.insert(word, bits);
            }
        }
        for vip in self.vips.keys() {
            state.vips.insert(vip.map_err(error("VIPS"))?);
        }
        for service in self.services.iter() {
            let (key, service) = service.map_err(error("SERVICES"))?;
            state.services.insert(key, service);
        }
        for (id, endpoint) in (0..=EndpointId::MAX).zip(self.endpoints.iter()) {
            let endpoint = endpoint.map_err(error("ENDPOINTS"))?;
            if endpoint.place() != Place::Absent || endpoint.generation() != 0 {
                state.endpoints.insert(id, endpoint);
            }
        }
        Ok(state)
    }

    /// The interface whose entry another one would need.
    pub(crate) fn holder_of_port(&self, interface: u32) -> Result<Option<u32>, ApplyError> {
        let port = self.ports.get(&Port::slot(interface), 0);
        let holder = port.map_err(error("PORTS"))?.interface();
        Ok((holder != 0 && holder != interface).then_some(holder))
    }

    pub(crate) fn set_port(&mut self, interface: u32, port: Port) -> Result<(), ApplyError> {
        let slot = Port::slot(interface);
        self.ports.set(slot, port, 0).map_err(error("PORTS"))
    }

    /// Forgets an interface.
    pub(crate) fn forget_port(&mut self, interface: u32) -> Result<(), ApplyError> {
        if self.holder_of_port(interface)?.is_none() {
            self.set_port(interface, Port::NONE)?;
        }
        Ok(())
    }

    /// Puts sockets of IPv4 and of IPv6 into their slots, then says how many there are: a slot without a socket is never
    /// chosen.
    pub(crate) fn set_sockets(
        &mut self,
        sockets: [&[std::os::fd::BorrowedFd<'_>]; 2],
    ) -> Result<(), ApplyError> {
        for (family, (map, sockets)) in (0..).zip(self.sockets.iter_mut().zip(sockets)) {
            for (slot, socket) in (0..).zip(sockets) {
                map.set(slot, socket, 0).map_err(error("SOCKETS"))?;
            }
            let count = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
            self.socket_count
                .set(family, count, 0)
                .map_err(error("SOCKET_COUNT"))?;
        }
        Ok(())
    }

    /// The packets of each reason, over all CPUs.
    pub(crate) fn reasons(&self) -> Result<Vec<(Counter, u64)>, ApplyError> {
        let read = |counter: &Counter| {
            let packets = self.counters.get(&counter.index(), 0)?;
            Ok((*counter, packets.iter().sum()))
        };
        Counter::ALL
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(error("COUNTERS"))
    }

    /// The traffic of a service, over all CPUs.
    pub(crate) fn traffic(&self, id: u32) -> Result<Traffic, ApplyError> {
        let parts = self.traffic.get(&id, 0).map_err(error("TRAFFIC"))?;
        Ok(parts.iter().fold(Traffic::default(), |sum, part| Traffic {
            packets: sum.packets + part.packets,
            bytes: sum.bytes + part.bytes,
        }))
    }

    fn set_table(&mut self, id: u32, slots: &[EndpointId]) -> Result<(), MapError> {
        let chunks = slots.chunks(SLOTS_PER_CHUNK);
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX).max(1);
        let mut inner = Array::<MapData, Chunk>::create(count, INNER_MAP)?;
        for (index, slots) in (0..).zip(chunks) {
            let mut chunk = Chunk {
                slots: [0; SLOTS_PER_CHUNK],
            };
            for (place, slot) in chunk.slots.iter_mut().zip(slots) {
                *place = *slot;
            }
            inner.set(index, chunk, 0)?;
        }
        self.tables.set(id, &inner, 0)
    }

    fn clear_traffic(&mut self, id: u32) -> Result<(), MapError> {
        let cpus = self.traffic.get(&id, 0)?.len();
        let zero = PerCpuValues::try_from(vec![Traffic::default(); cpus])?;
        self.traffic.set(id, zero, 0)
    }
}

impl Maps for KernelMaps {
    fn write(&mut self, write: &Write) -> Result<(), ApplyError> {
        match write {
            Write::SetPool(prefix) => {
                let key = Key::new(prefix.bits, prefix.address);
                self.pools.insert(&key, 1, 0).map_err(error("POOLS"))
            }
            Write::RemovePool(prefix) => {
                let key = Key::new(prefix.bits, prefix.address);
                absent_is_fine(self.pools.remove(&key)).map_err(error("POOLS"))
            }
            Write::SetSieve(word, bits) => self.sieve.set(*word, bits, 0).map_err(error("SIEVE")),
            Write::SetVip(vip) => self.vips.insert(vip, 1, 0).map_err(error("VIPS")),
            Write::RemoveVip(vip) => absent_is_fine(self.vips.remove(vip)).map_err(error("VIPS")),
            Write::SetEndpoint(id, endpoint) => self
                .endpoints
                .set(u32::from(*id), endpoint, 0)
                .map_err(error("ENDPOINTS")),
            Write::SetTable(id, Table { slots, .. }) => {
                self.set_table(*id, slots).map_err(error("TABLES"))
            }
            Write::RemoveTable(id) => self.set_table(*id, &[]).map_err(error("TABLES")),
            Write::SetService(key, service) => self
                .services
                .insert(key, service, 0)
                .map_err(error("SERVICES")),
            Write::RemoveService(key) => {
                absent_is_fine(self.services.remove(key)).map_err(error("SERVICES"))
            }
            Write::ClearTraffic(id) => self.clear_traffic(*id).map_err(error("TRAFFIC")),
        }
    }
}

pub(super) fn error(map: &'static str) -> impl Fn(MapError) -> ApplyError {
    move |source| ApplyError::Map {
        map,
        source: Box::new(source),
    }
}

/// What is to be removed may be gone already: the kernel says so with ENOENT.
pub(super) fn absent_is_fine(outcome: Result<(), MapError>) -> Result<(), MapError> {
    match outcome {
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}
