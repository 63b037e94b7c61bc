//! Every capacity and bound of the datapath, each with its reason.
//!
//! In all they take 40 MiB on two cores, most of it the two flow tables: it fits an edge node.

/// Announced addresses. A node that serves more is better served by more nodes; 1024 × 80 B.
pub const VIPS_MAX: usize = 1024;

/// Frontends. Each costs a slot of the outer table map and 16 B of counters per CPU.
pub const SERVICES_MAX: usize = 4096;

/// Endpoint ids fit into 16 bits, the width of a Maglev slot; the entries take 1.5 MiB.
pub const ENDPOINTS_MAX: usize = 65536;

/// Prefixes of pools. A range of addresses is at most 2 × 128 prefixes, so some dozens of pools fit.
pub const POOL_PREFIXES_MAX: usize = 4096;

/// Addresses × interfaces that ARP and neighbour solicitations are answered on.
pub const ANSWERS_MAX: usize = 4096;

/// Noted claims of other machines for such an address; the oldest makes way.
pub const CLAIMS_MAX: usize = 1024;

/// Interfaces with programs on them, by the low bits of their index: a power of two, large enough that two interfaces
/// of one machine hardly ever meet.
pub const PORTS_MAX: usize = 1024;

/// Remembered flows, per direction: about 120 B each in the kernel, 2 × 15 MiB.
pub const FLOWS_MAX: usize = 131_072;

/// Flows of which one packet was seen. Small, so that a flood of first packets evicts only others of its kind;
/// large enough for what a client may take to send its second packet at 10,000 new flows a second and 1 s round trips.
pub const OPENINGS_MAX: usize = 16_384;

/// Proxy workers: each has a socket of either family.
pub const SOCKETS_MAX: usize = 256;

/// Slots of a Maglev table that one write fills. A power of two, so that a mask bounds the index for the verifier.
pub const SLOTS_PER_CHUNK: usize = 512;

/// Chunks of the largest Maglev table.
pub const CHUNKS_MAX: usize = 65537usize.div_ceil(SLOTS_PER_CHUNK);

/// VLAN tags that are parsed (IEEE 802.1ad: one outer, one inner).
pub const VLAN_TAGS_MAX: usize = 2;

/// IPv6 extension headers that are walked over. More than two are not seen outside of tests (RFC 7872).
pub const EXTENSIONS_MAX: usize = 4;

/// Their length in bytes, all together. One less than a power of two, so that it is a mask for the verifier.
pub const EXTENSIONS_BYTES_MAX: usize = 63;

/// Length of the options of a neighbour discovery message, in units of 8 bytes. Hosts send one or two of one unit each.
pub const NDP_OPTIONS_UNITS_MAX: usize = 8;

/// How long, in jiffies, a flow's reverse entry is believed before a forward packet writes it again.
///
/// A jiffy is 1 to 10 ms, by the kernel's build: 1 to 10 s.
pub const REFRESH_JIFFIES: u64 = 1000;

/// After this many jiffies without a packet a flow may lose its reverse entry to another flow: 5 to 50 minutes.
pub const IDLE_JIFFIES: u64 = 300_000;

/// Bytes at the start of a packet that the tc programs need in linear memory:
/// Ethernet, two VLAN tags, IPv6 with extension headers (more than IPv4 with all options), TCP or a quotation.
pub const HEADERS_BYTES_MAX: u32 = 14 + 8 + 40 + 64 + 60;
