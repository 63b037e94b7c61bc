//! Sanmon's packet programs. Entry points only: each hands the packet to its stage and turns the outcome into a verdict.

#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![deny(unused_results)]
#![expect(
    unsafe_code,
    reason = "packets and maps are reached through raw pointers; every block says why it holds"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "offsets and lengths of packets are small; a fallible conversion only adds branches for the verifier"
)]

mod answer;
mod change;
mod counters;
mod egress;
mod flow;
mod header;
mod ingress;
mod ip;
mod ipv4;
mod ipv6;
mod link;
mod lookup;
mod maps;
mod ndp;
mod neighbour;
mod packet;
mod parse;
mod rewrite;
mod socket;
mod words;

use aya_ebpf::EbpfContext;
use aya_ebpf::macros::{classifier, sk_lookup, xdp};
use aya_ebpf::programs::{SkLookupContext, TcContext, XdpContext};
use aya_ebpf::{bindings::TC_ACT_SHOT, bindings::TC_ACT_UNSPEC, bindings::xdp_action};
use gateway_common::counter::{Counter, Verdict};

use crate::link::{TcFrame, XdpFrame};
use crate::maps::{INGRESS_IPV6, XDP_IPV6};

/// Gates 1 and 2 on an interface with native XDP.
#[xdp]
#[inline(always)]
fn sanmon_xdp(context: XdpContext) -> u32 {
    let frame = XdpFrame::new(context);
    let outcome = ingress::steer(&frame);
    if outcome == Err(Counter::Ipv6Unserved) {
        // SAFETY: there is nothing to drop, and the packet is as it came. Returns only when the program is missing.
        unsafe { XDP_IPV6.tail_call(frame.context(), 0) };
    }
    xdp_verdict(conclude(frame.context(), outcome))
}

/// The same for IPv6 to what may be a VIP.
#[xdp]
#[inline(always)]
fn sanmon_xdp_ipv6(context: XdpContext) -> u32 {
    let frame = XdpFrame::new(context);
    xdp_verdict(conclude(frame.context(), ingress::steer_ipv6(&frame)))
}

#[inline(always)]
fn xdp_verdict(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
        Verdict::Reflect => xdp_action::XDP_TX,
    }
}

/// Gates 1 and 2 on any other interface.
#[classifier]
#[inline(always)]
fn sanmon_ingress(context: TcContext) -> i32 {
    let frame = TcFrame::new(context);
    let outcome = frame.linearise().and_then(|()| ingress::steer(&frame));
    if outcome == Err(Counter::Ipv6Unserved) {
        // SAFETY: as above.
        unsafe { INGRESS_IPV6.tail_call(frame.context(), 0) };
    }
    ingress_verdict(&frame, conclude(frame.context(), outcome))
}

/// The same for IPv6 to what may be a VIP.
#[classifier]
#[inline(always)]
fn sanmon_ingress_ipv6(context: TcContext) -> i32 {
    let frame = TcFrame::new(context);
    let outcome = frame.linearise().and_then(|()| ingress::steer_ipv6(&frame));
    ingress_verdict(&frame, conclude(frame.context(), outcome))
}

#[inline(always)]
fn ingress_verdict(frame: &TcFrame, verdict: Verdict) -> i32 {
    match verdict {
        // Goes on with the next program at this hook, then to the stack.
        Verdict::Pass => TC_ACT_UNSPEC,
        Verdict::Drop => TC_ACT_SHOT,
        Verdict::Reflect => frame.reflect(),
    }
}

/// The way back: replies of endpoints, on every interface.
#[classifier]
#[inline(always)]
fn sanmon_egress(context: TcContext) -> i32 {
    let frame = TcFrame::new(context);
    let outcome = frame.linearise().and_then(|()| egress::reverse(&frame));
    match conclude(frame.context(), outcome) {
        Verdict::Pass | Verdict::Reflect => TC_ACT_UNSPEC,
        Verdict::Drop => TC_ACT_SHOT,
    }
}

/// Does nothing: what a run costs by itself, for benchmarks. Never attached.
#[xdp]
fn sanmon_floor(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Hands connections to a VIP to gate 3's sockets, and keeps them from all others.
#[sk_lookup]
fn sanmon_socket(context: SkLookupContext) -> u32 {
    socket::select(&context)
}

/// The one exit: each packet is counted once, here, and its reason decides what happens to it.
///
/// Stages end early with `Err` or late with `Ok`; both are just the reason.
#[inline(always)]
fn conclude(context: &impl EbpfContext, outcome: Result<Counter, Counter>) -> Verdict {
    let reason = match outcome {
        Ok(reason) | Err(reason) => reason,
    };
    counters::count(reason);
    #[cfg(feature = "log")]
    aya_log_ebpf::trace!(context, "counted under reason {}", reason.index());
    #[cfg(not(feature = "log"))]
    let _no_log = context;
    reason.verdict()
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program from which this can be reached.
    loop {}
}

/// Helpers for GPL-compatible programs only are not used, but the kernel asks for a licence all the same.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";
