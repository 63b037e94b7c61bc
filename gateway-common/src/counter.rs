//! The one list of packet counters: index in the kernel's map, and metric label.

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident = $label:literal,)+) => {
        /// Why a packet got its verdict. Every packet that a program sees is counted in exactly one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Counter {
            $($(#[$doc])+ $name,)+
        }

        impl Counter {
            /// Every counter, in the order of its index.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The value of the metric's `reason` label.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

counters! {
    /// Not for this machine's Ethernet address: passed.
    NotOurs = "not_ours",
    /// Neither ARP for a pool nor IP for a VIP: passed.
    NoVip = "no_vip",
    /// ARP or neighbour solicitation for an address outside of all pools: passed.
    NeighbourNoPool = "neighbour_no_pool",
    /// ARP request for an owned address: answered.
    ArpAnswered = "arp_answered",
    /// ARP for a pool address without an answer entry: dropped.
    ArpGuarded = "arp_guarded",
    /// ARP for an address whose answer entry has expired: dropped.
    ArpExpired = "arp_expired",
    /// ARP from a pool's address (a reply, an announcement, a probe by another machine): dropped or passed to nobody.
    ArpOther = "arp_other",
    /// ARP that RFC 826 does not allow, about a pool: dropped.
    ArpMalformed = "arp_malformed",
    /// Neighbour solicitation for a pool address: dropped.
    NdpGuarded = "ndp_guarded",
    /// ICMP echo request to a VIP: answered.
    EchoAnswered = "echo_answered",
    /// Steered to an endpoint by an existing flow.
    FlowHit = "flow_hit",
    /// Steered to an endpoint chosen by the table.
    FlowNew = "flow_new",
    /// For gate 3: passed to the stack.
    Proxied = "proxied",
    /// TCP to a VIP's port without listener: reset.
    RefusedTcp = "refused_tcp",
    /// UDP to a VIP's port without listener: port unreachable.
    RefusedUdp = "refused_udp",
    /// TCP without listener that asks for no answer (a reset): dropped.
    RefusedSilently = "refused_silently",
    /// The share of a service's flows whose backend is invalid or that has no endpoint: TCP is reset.
    NoBackendTcp = "no_backend_tcp",
    /// The same for UDP: dropped.
    NoBackendUdp = "no_backend_udp",
    /// TCP, no SYN, of a flow that no endpoint knows (any more): reset.
    FlowUnknown = "flow_unknown",
    /// For an endpoint on another node: dropped.
    EndpointRemote = "endpoint_remote",
    /// Another flow of the same client port has the same endpoint through another VIP: dropped.
    FlowCollision = "flow_collision",
    /// The flow table refused an entry: dropped.
    FlowTableFull = "flow_table_full",
    /// A fragment of a packet to a VIP: dropped.
    Fragment = "fragment",
    /// Shorter than its headers say, to a VIP or before that could be known.
    Truncated = "truncated",
    /// Headers that contradict themselves, to a VIP.
    Malformed = "malformed",
    /// An IP protocol that no listener can have, to a VIP: dropped.
    OtherProtocol = "other_protocol",
    /// An ICMP message other than an echo request, to a VIP: dropped.
    IcmpOther = "icmp_other",
    /// A packet whose time to live ends here.
    TtlExpired = "ttl_expired",
    /// Egress: of no flow: passed.
    ReplyNone = "reply_none",
    /// Egress: an endpoint's reply, rewritten to come from the VIP.
    ReplyRewritten = "reply_rewritten",
    /// Egress: an ICMP error about a flow: passed as it is.
    ReplyIcmpError = "reply_icmp_error",
    /// Egress: too short or fragmented to tell: passed.
    ReplyUnparsed = "reply_unparsed",
    /// The programs or their maps contradict themselves: dropped. Never counted unless there is a defect.
    Internal = "internal",
}

impl Counter {
    /// The index in the kernel's map.
    pub const fn index(self) -> u32 {
        self as u32
    }
}
