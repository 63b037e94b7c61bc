//! All maps. Their names, types and sizes are what `bpftool map dump` shows and what user space finds by name.

use aya_ebpf::bindings::BPF_F_INNER_MAP;
use aya_ebpf::btf_maps::{
    Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, SockMap,
};
use aya_ebpf::macros::btf_map;
use gateway_common::addr::Address;
use gateway_common::announce::{Answer, AnswerKey, Claim, Port};
use gateway_common::counter::Counter;
use gateway_common::endpoint::Endpoint;
use gateway_common::flow::{Flow, FlowKey, Reply};
use gateway_common::limits::{
    ANSWERS_MAX, CHUNKS_MAX, CLAIMS_MAX, ENDPOINTS_MAX, FLOWS_MAX, OPENINGS_MAX, POOL_PREFIXES_MAX,
    PORTS_MAX, SERVICES_MAX, SOCKETS_MAX, VIPS_MAX,
};
use gateway_common::service::{Chunk, Service, ServiceKey, Traffic};
use gateway_common::sieve;

/// The second half of the XDP program, in entry 0. Its pin keeps the entry when no process has it open.
#[btf_map]
pub(crate) static XDP_IPV6: ProgramArray<1> = ProgramArray::new();

/// The same of the tc program.
#[btf_map]
pub(crate) static INGRESS_IPV6: ProgramArray<1> = ProgramArray::new();

/// Attached interfaces by the low bits of their index.
#[btf_map]
pub(crate) static PORTS: Array<Port, PORTS_MAX> = Array::new();

/// The prefixes of all pools.
#[btf_map]
pub(crate) static POOLS: LpmTrie<Address, u32, POOL_PREFIXES_MAX> = LpmTrie::new();

/// The addresses that may be answered for.
#[btf_map]
pub(crate) static ANSWERS: HashMap<AnswerKey, Answer, ANSWERS_MAX> = HashMap::new();

/// The last claim of another machine for an address that may be, or might have been, answered for.
#[btf_map]
pub(crate) static CLAIMS: LruHashMap<AnswerKey, Claim, CLAIMS_MAX> = LruHashMap::new();

/// What is in front of the VIPs.
#[btf_map]
pub(crate) static SIEVE: Array<u64, { sieve::WORDS }> = Array::new();

/// The VIPs; the value has no meaning.
#[btf_map]
pub(crate) static VIPS: HashMap<Address, u32, VIPS_MAX> = HashMap::new();

/// The frontends.
#[btf_map]
pub(crate) static SERVICES: HashMap<ServiceKey, Service, SERVICES_MAX> = HashMap::new();

/// The endpoints by id.
#[btf_map]
pub(crate) static ENDPOINTS: Array<Endpoint, ENDPOINTS_MAX> = Array::new();

/// A Maglev table.
type Table = Array<Chunk, CHUNKS_MAX, { BPF_F_INNER_MAP as usize }>;

/// The Maglev tables by service id. One write replaces a whole table; their lengths differ.
#[btf_map]
pub(crate) static TABLES: ArrayOfMaps<Table, SERVICES_MAX> = ArrayOfMaps::new();

/// Flows by client and VIP.
#[btf_map]
pub(crate) static FLOWS: LruHashMap<FlowKey, Flow, FLOWS_MAX> = LruHashMap::new();

/// The same flows by client and endpoint.
#[btf_map]
pub(crate) static REPLIES: LruHashMap<FlowKey, Reply, FLOWS_MAX> = LruHashMap::new();

/// Flows of which one packet was seen, by client and VIP.
#[btf_map]
pub(crate) static OPENINGS: LruHashMap<FlowKey, Flow, OPENINGS_MAX> = LruHashMap::new();

/// The same by client and endpoint.
#[btf_map]
pub(crate) static OPENING_REPLIES: LruHashMap<FlowKey, Reply, OPENINGS_MAX> = LruHashMap::new();

/// Gate 3's listening sockets of IPv4, one per worker.
#[btf_map]
pub(crate) static SOCKETS: SockMap<SOCKETS_MAX> = SockMap::new();

/// Those of IPv6: the kernel takes no socket of the other family.
#[btf_map]
pub(crate) static SOCKETS_IPV6: SockMap<SOCKETS_MAX> = SockMap::new();

/// How many of them there are, IPv4 in entry 0, IPv6 in entry 1.
#[btf_map]
pub(crate) static SOCKET_COUNT: Array<u32, 2> = Array::new();

/// Packets by reason.
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { Counter::ALL.len() }> = PerCpuArray::new();

/// Clients' traffic by service id.
#[btf_map]
pub(crate) static TRAFFIC: PerCpuArray<Traffic, SERVICES_MAX> = PerCpuArray::new();
