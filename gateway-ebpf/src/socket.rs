//! Gate 3's door: a VIP's connections go to the proxy's sockets and to no other socket of the host.

use aya_ebpf::bindings::{BPF_SK_LOOKUP_F_NO_REUSEPORT, bpf_sk_lookup};
use aya_ebpf::programs::SkLookupContext;
use gateway_common::addr::Address;
use gateway_common::flow::FlowKey;

use crate::lookup;
use crate::maps::{SOCKET_COUNT, SOCKETS, SOCKETS_IPV6};
use crate::packet::opaque;

const SK_DROP: u32 = 0;
const SK_PASS: u32 = 1;
const AF_INET: u32 = 2;

/// Chooses the socket for a packet that the stack found none for by its flow.
#[inline(always)]
pub(crate) fn select(context: &SkLookupContext) -> u32 {
    // SAFETY: the kernel gave this context to this run of the program.
    let packet = unsafe { &*context.lookup };
    let vip = local_address(packet);
    // A route for a whole pool would open the host's sockets on its unused addresses too.
    if !lookup::is_vip(&vip) && !lookup::is_in_pool(vip) {
        return SK_PASS;
    }
    let port = (packet.local_port as u16).to_be_bytes();
    let protocol = packet.protocol as u8;
    let proxied = lookup::service(vip, port, protocol).is_some_and(|it| it.is_proxied());
    if !proxied {
        return SK_DROP;
    }
    let remote = (remote_address(packet), packet.remote_port.to_ne_bytes());
    let hash = FlowKey::new(remote, (vip, port), protocol).hash();
    let is_v4 = packet.family == AF_INET;
    let count = SOCKET_COUNT.get(u32::from(!is_v4)).copied().unwrap_or(0);
    let slot = ((u64::from(hash) * u64::from(count)) >> 32) as u32;
    // Without the flag the kernel picks again inside the reuseport group, where two processes meet in a restart.
    let flags = u64::from(BPF_SK_LOOKUP_F_NO_REUSEPORT);
    let chosen = if is_v4 {
        SOCKETS.redirect_sk_lookup(context, slot, flags)
    } else {
        SOCKETS_IPV6.redirect_sk_lookup(context, slot, flags)
    };
    match chosen {
        Ok(()) => SK_PASS,
        Err(_no_socket) => SK_DROP,
    }
}

/// The VIP's end, of either family.
#[inline(always)]
fn local_address(packet: &bpf_sk_lookup) -> Address {
    either(packet.family, packet.local_ip4, packet.local_ip6)
}

/// The client's end, of either family.
#[inline(always)]
fn remote_address(packet: &bpf_sk_lookup) -> Address {
    either(packet.family, packet.remote_ip4, packet.remote_ip6)
}

/// Both forms are read before the choice: else the compiler chooses the place and reads once, and the verifier
/// forbids it ("dereference of modified ctx ptr", Linux 6.18).
#[inline(always)]
fn either(family: u32, v4: u32, v6_words: [u32; 4]) -> Address {
    let v4 = opaque(v4 as usize) as u32;
    let v6_words = v6_words.map(|word| opaque(word as usize) as u32);
    if family == AF_INET {
        Address::from_v4(v4.to_ne_bytes())
    } else {
        v6(v6_words)
    }
}

#[inline(always)]
fn v6(words: [u32; 4]) -> Address {
    let [a, b, c, d] = words.map(u32::to_ne_bytes);
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&a);
    bytes[4..8].copy_from_slice(&b);
    bytes[8..12].copy_from_slice(&c);
    bytes[12..].copy_from_slice(&d);
    Address::from_v6(bytes)
}
