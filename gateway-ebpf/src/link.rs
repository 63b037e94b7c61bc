//! The two hooks as one kind of frame: how each reaches, changes, grows, cuts and reflects a packet.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::bpf_adj_room_mode::BPF_ADJ_ROOM_MAC;
use aya_ebpf::bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR};
use aya_ebpf::helpers::{
    bpf_csum_update, bpf_redirect, bpf_skb_change_tail, bpf_xdp_adjust_head, bpf_xdp_adjust_tail,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use gateway_common::counter::Counter;
use gateway_common::limits::HEADERS_BYTES_MAX;

use crate::change::Change;
use crate::header::Header;
use crate::packet::{Frame, opaque, read, write};
use crate::parse::{ETHERNET_LEN, UDP};

/// A packet at native XDP: complete checksums, all of it in reach.
pub(crate) struct XdpFrame {
    context: XdpContext,
}

/// A packet at tc: perhaps a partial checksum, perhaps only its start in reach.
pub(crate) struct TcFrame {
    context: TcContext,
}

impl XdpFrame {
    #[inline(always)]
    pub(crate) fn new(context: XdpContext) -> Self {
        Self { context }
    }

    #[inline(always)]
    pub(crate) fn context(&self) -> &XdpContext {
        &self.context
    }
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        (self.context.data(), self.context.data_end())
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // Else the compiler subtracts the end alone from something, which the verifier forbids.
        opaque(self.context.data_end() - self.context.data()) as u32
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn change<A: Header>(&self, change: &Change<A>) -> Result<(), Counter> {
        let field = |offset| read::<[u8; 2]>(self, offset).ok_or(Counter::RewriteFailed);
        let both = change.difference.replace(change.old_port, change.new_port);
        let transport = field(change.transport_check)?;
        let transport = if change.protocol == UDP {
            both.update_udp(transport)
        } else {
            both.update(transport)
        };
        if let Some(place) = change.network_check {
            write(self, place, change.difference.update(field(place)?))?;
        }
        write(self, change.address, change.new_address)?;
        write(self, change.port, change.new_port)?;
        write(self, change.transport_check, transport)
    }

    #[inline(always)]
    fn make_room(&self, bytes: u32) -> Result<(), Counter> {
        // SAFETY: the context is the one that the kernel gave to this run of the program.
        let failed = unsafe { bpf_xdp_adjust_head(self.context.ctx, -(bytes as i32)) };
        if failed != 0 {
            return Err(Counter::RewriteFailed);
        }
        let ethernet =
            read::<[u8; ETHERNET_LEN]>(self, bytes as usize).ok_or(Counter::RewriteFailed)?;
        write(self, 0, ethernet)
    }

    #[inline(always)]
    fn resize(&self, bytes: u32) -> Result<(), Counter> {
        let delta = bytes as i32 - self.len() as i32;
        // SAFETY: the context is the one that the kernel gave to this run of the program.
        let failed = unsafe { bpf_xdp_adjust_tail(self.context.ctx, delta) };
        if failed != 0 {
            return Err(Counter::RewriteFailed);
        }
        Ok(())
    }
}

impl TcFrame {
    #[inline(always)]
    pub(crate) fn new(context: TcContext) -> Self {
        Self { context }
    }

    #[inline(always)]
    pub(crate) fn context(&self) -> &TcContext {
        &self.context
    }

    /// Brings the headers into reach when the driver left them in fragments.
    #[inline(always)]
    pub(crate) fn linearise(&self) -> Result<(), Counter> {
        let wanted = self.len().min(HEADERS_BYTES_MAX);
        let reachable = (self.context.data_end() - self.context.data()) as u32;
        if reachable >= wanted {
            return Ok(());
        }
        self.context
            .skb
            .pull_data(wanted)
            .map_err(|_error| Counter::RewriteFailed)
    }

    /// Sends the packet back out of its interface; gives the hook's return value.
    #[inline(always)]
    pub(crate) fn reflect(&self) -> i32 {
        // SAFETY: takes two numbers.
        unsafe { bpf_redirect(self.interface(), 0) as i32 }
    }

    /// Where hardware has summed the whole packet, the kernel's helper corrects that sum by what an IPv4 header's own
    /// checksum takes back. An IPv6 header has none: there the sum was right as it was. A flag that says so is younger than
    /// some of the kernels that run this (Linux 6.16).
    #[inline(always)]
    fn undo_in_sum_of_hardware(&self, difference: u32) {
        // SAFETY: the context is the one that the kernel gave to this run of the program.
        let _no_such_sum = unsafe { bpf_csum_update(self.skb(), difference) };
    }

    #[inline(always)]
    fn skb(&self) -> *mut aya_ebpf::bindings::__sk_buff {
        self.context.as_ptr().cast()
    }
}

impl Frame for TcFrame {
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        (self.context.data(), self.context.data_end())
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.context.len()
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        // SAFETY: the context is the one that the kernel gave to this run of the program.
        unsafe { (*self.skb()).ifindex }
    }

    #[inline(always)]
    fn change<A: Header>(&self, change: &Change<A>) -> Result<(), Counter> {
        let difference = change.difference.wide();
        let old_port = u64::from(u16::from_ne_bytes(change.old_port));
        let new_port = u64::from(u16::from_ne_bytes(change.new_port));
        // A UDP checksum of zero means none and stays none.
        let zero = if change.protocol == UDP {
            u64::from(BPF_F_MARK_MANGLED_0)
        } else {
            0
        };
        let of_addresses = zero | u64::from(BPF_F_PSEUDO_HDR);
        // The helpers know whether the sender left the sum to the hardware; then only the pseudo header counts.
        self.context
            .l4_csum_replace(
                change.transport_check,
                0,
                u64::from(difference),
                of_addresses,
            )
            .and_then(|()| {
                self.context
                    .l4_csum_replace(change.transport_check, old_port, new_port, zero | 2)
            })
            .and_then(|()| match change.network_check {
                Some(place) => self
                    .context
                    .l3_csum_replace(place, 0, u64::from(difference), 0),
                None => {
                    self.undo_in_sum_of_hardware(difference);
                    Ok(())
                }
            })
            .and_then(|()| self.context.store(change.address, &change.new_address, 0))
            .and_then(|()| self.context.store(change.port, &change.new_port, 0))
            .map_err(|_error| Counter::RewriteFailed)
    }

    #[inline(always)]
    fn make_room(&self, bytes: u32) -> Result<(), Counter> {
        self.context
            .skb
            .adjust_room(bytes as i32, BPF_ADJ_ROOM_MAC, 0)
            .map_err(|_error| Counter::RewriteFailed)
    }

    #[inline(always)]
    fn resize(&self, bytes: u32) -> Result<(), Counter> {
        // SAFETY: the context is the one that the kernel gave to this run of the program.
        if unsafe { bpf_skb_change_tail(self.skb(), bytes, 0) } != 0 {
            return Err(Counter::RewriteFailed);
        }
        Ok(())
    }
}
