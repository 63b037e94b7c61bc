//! The one list of what can happen to a packet: the counter's index and metric label, and the verdict.

/// What a program does with a packet in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on: to the stack, or to the wire at egress.
    Pass,
    /// Goes nowhere.
    Drop,
    /// Goes back out of the interface that it came in on, as the answer that it was made into.
    Reflect,
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident = $verdict:ident $label:literal,)+) => {
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

            /// What happens to the packet.
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self {
                    $(Self::$name => Verdict::$verdict,)+
                }
            }
        }
    };
}

counters! {
    /// Neither ARP nor neighbour discovery for a pool, nor IP to a VIP.
    NoVip = Pass "no_vip",
    /// To a VIP, but for another machine's Ethernet address: a flooded frame.
    NotOurs = Pass "not_ours",
    /// Too short to tell what it is for; the stack drops it.
    TooShort = Pass "too_short",
    /// ARP or neighbour discovery that asks for no address of a pool, or answers this node's own question.
    NeighbourOther = Pass "neighbour_other",
    /// An ARP request for an address that this node may answer for.
    ArpAnswered = Reflect "arp_answered",
    /// An ARP request for an address of a pool that this node does not own.
    ArpGuarded = Drop "arp_guarded",
    /// An ARP request for an address whose permission has expired.
    ArpExpired = Drop "arp_expired",
    /// ARP in which another machine claims an address that this node owns.
    ArpConflict = Drop "arp_conflict",
    /// ARP about a pool that RFC 826 does not allow.
    ArpMalformed = Drop "arp_malformed",
    /// A neighbour solicitation for an address that this node may answer for.
    NdpAnswered = Reflect "ndp_answered",
    /// A neighbour solicitation for an address of a pool that this node does not own.
    NdpGuarded = Drop "ndp_guarded",
    /// A neighbour solicitation for an address whose permission has expired.
    NdpExpired = Drop "ndp_expired",
    /// A neighbour advertisement in which another machine claims an address that this node owns.
    NdpConflict = Drop "ndp_conflict",
    /// Neighbour discovery about a pool that RFC 4861 does not allow.
    NdpMalformed = Drop "ndp_malformed",
    /// This node's own word about an address, sent back by the network.
    NeighbourEcho = Drop "neighbour_echo",
    /// An ICMP or ICMPv6 echo request to a VIP.
    EchoAnswered = Reflect "echo_answered",
    /// Any other ICMP message to a VIP, or an echo request while this node does not own it.
    IcmpOther = Drop "icmp_other",
    /// Of a known flow: rewritten to its endpoint.
    FlowHit = Pass "flow_hit",
    /// Of a new flow: rewritten to the table's endpoint.
    FlowNew = Pass "flow_new",
    /// For gate 3.
    Proxied = Pass "proxied",
    /// TCP to a VIP's port without listener: reset.
    RefusedTcp = Reflect "refused_tcp",
    /// UDP to a VIP's port without listener: port unreachable.
    RefusedUdp = Reflect "refused_udp",
    /// To a VIP's port without listener, in a form that must not or need not be answered.
    RefusedSilently = Drop "refused_silently",
    /// TCP in the share of a service that has no valid backend, or no endpoint: reset.
    NoBackendTcp = Reflect "no_backend_tcp",
    /// UDP in the same.
    NoBackendUdp = Drop "no_backend_udp",
    /// TCP of a flow whose endpoint is gone: reset.
    EndpointGone = Reflect "endpoint_gone",
    /// For an endpoint on another node.
    EndpointRemote = Drop "endpoint_remote",
    /// Of a client's port that has the same endpoint through another VIP or port already.
    FlowCollision = Drop "flow_collision",
    /// The flow table took no entry.
    FlowTableFull = Drop "flow_table_full",
    /// A fragment to a VIP.
    Fragment = Drop "fragment",
    /// To a VIP, and shorter than its headers say.
    Truncated = Drop "truncated",
    /// To a VIP, with headers that contradict themselves.
    Malformed = Drop "malformed",
    /// To a VIP or its group, with more IPv6 extension headers than are walked over.
    Extensions = Drop "extensions",
    /// To a VIP, of a protocol that no listener can have.
    OtherProtocol = Drop "other_protocol",
    /// At egress: of no flow.
    ReplyNone = Pass "reply_none",
    /// At egress: an endpoint's reply, rewritten to come from the VIP.
    ReplyRewritten = Pass "reply_rewritten",
    /// At egress: an endpoint's ICMP error about a flow, passed as it is.
    ReplyIcmpError = Pass "reply_icmp_error",
    /// At egress: a fragment or too short to tell, passed as it is.
    ReplyUnparsed = Pass "reply_unparsed",
    /// IPv6 to what may be a VIP, and the program for it is missing: its pin was removed by hand.
    Ipv6Unserved = Drop "ipv6_unserved",
    /// The kernel refused to change the packet.
    RewriteFailed = Drop "rewrite_failed",
    /// The maps contradict each other: a defect, or a snapshot half removed by hand.
    Inconsistent = Drop "inconsistent",
}

impl Counter {
    /// The index in the kernel's map.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_positions_and_labels_are_unique() {
        for (position, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(counter.index() as usize, position);
            let same = Counter::ALL
                .iter()
                .filter(|other| other.label() == counter.label());
            assert_eq!(same.count(), 1, "{}", counter.label());
        }
    }
}
