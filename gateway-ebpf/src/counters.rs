//! The counters: per CPU, so that no increment waits for another.

use gateway_common::counter::Counter;
use gateway_common::service::Service;

use crate::maps::{COUNTERS, TRAFFIC};

/// Counts a packet under its reason.
#[inline(always)]
pub(crate) fn count(reason: Counter) {
    if let Some(packets) = COUNTERS.get_ptr_mut(reason.index()) {
        // SAFETY: the entry belongs to this CPU, and a program is not preempted by another one that writes it.
        unsafe { *packets += 1 };
    }
}

/// Counts a client's packet to a service.
#[inline(always)]
pub(crate) fn count_traffic(service: &Service, bytes: u32) {
    if let Some(traffic) = TRAFFIC.get_ptr_mut(service.id()) {
        // SAFETY: the entry belongs to this CPU, and a program is not preempted by another one that writes it.
        let traffic = unsafe { &mut *traffic };
        traffic.packets += 1;
        traffic.bytes += u64::from(bytes);
    }
}
