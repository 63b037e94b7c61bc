//! The flow tables: which endpoint a packet's flow is on. Knows no packets.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_jiffies64;
use gateway_common::addr::Address;
use gateway_common::counter::Counter;
use gateway_common::endpoint::{Endpoint, EndpointId, Place};
use gateway_common::flow::{Flow, FlowKey, Reply};
use gateway_common::service::Service;

use crate::lookup;
use crate::maps::{FLOWS, OPENING_REPLIES, OPENINGS, REPLIES};

/// What a packet says about its flow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A TCP connection begins.
    Opens,
    /// A TCP connection goes on.
    Continues,
    /// A TCP connection ends, from this side.
    Ends,
    /// UDP: each datagram may be the first.
    Datagram,
}

impl Signal {
    /// Whether the packet may start over on another endpoint.
    #[inline(always)]
    fn may_begin(self) -> bool {
        matches!(self, Self::Opens | Self::Datagram)
    }
}

/// Where a packet goes.
#[derive(Clone, Copy)]
pub(crate) struct Steering {
    pub(crate) address: Address,
    pub(crate) port: [u8; 2],
    pub(crate) reason: Counter,
}

/// Finds or chooses the endpoint of a packet's flow and remembers it.
#[inline(always)]
pub(crate) fn steer(key: &FlowKey, service: &Service, signal: Signal) -> Result<Steering, Counter> {
    if let Some(steering) = follow(key, signal)? {
        return Ok(steering);
    }
    if let Some(steering) = settle(key, signal)? {
        return Ok(steering);
    }
    let (id, endpoint) = lookup::pick(service, key).ok_or(match signal {
        Signal::Datagram => Counter::NoBackendUdp,
        Signal::Opens | Signal::Continues | Signal::Ends => Counter::NoBackendTcp,
    })?;
    let steering = deliver(endpoint, Counter::FlowNew)?;
    open(key, id, endpoint)?;
    Ok(steering)
}

/// A flow of which at least two packets were seen.
#[inline(always)]
fn follow(key: &FlowKey, signal: Signal) -> Result<Option<Steering>, Counter> {
    let Some(flow) = FLOWS.get_ptr_mut(key) else {
        return Ok(None);
    };
    // SAFETY: map memory stays valid while the program runs. Another CPU may write the same fields; each is a single
    // store of a value that is right by itself, and a lost one costs a second of age.
    let flow = unsafe { &mut *flow };
    let endpoint = lookup::endpoint(flow.endpoint()).ok_or(Counter::Inconsistent)?;
    if !flow.is_on(endpoint) && !signal.may_begin() {
        return Err(Counter::EndpointGone);
    }
    // A client that uses a port again after the connection's end may go to another endpoint.
    if !flow.is_on(endpoint) || (signal == Signal::Opens && flow.is_closing()) {
        let _absent = FLOWS.remove(key);
        return Ok(None);
    }
    let now = jiffies();
    let due = flow.touch(now);
    if signal == Signal::Ends {
        flow.close();
        close_reply(key, endpoint);
    }
    // The kernel may have evicted the reverse entry alone; without it the endpoint's replies would go out as they are.
    if due && signal != Signal::Ends {
        claim(key, endpoint, now)?;
        let _refused = REPLIES.insert(
            reply_key(key, endpoint),
            reply(key, now),
            u64::from(BPF_ANY),
        );
    }
    deliver(endpoint, Counter::FlowHit).map(Some)
}

/// A flow of which one packet was seen: a second one makes it last.
#[inline(always)]
fn settle(key: &FlowKey, signal: Signal) -> Result<Option<Steering>, Counter> {
    let Some(flow) = OPENINGS.get_ptr(key) else {
        return Ok(None);
    };
    // SAFETY: map memory stays valid while the program runs.
    let flow = unsafe { *flow };
    let endpoint = lookup::endpoint(flow.endpoint()).ok_or(Counter::Inconsistent)?;
    if !flow.is_on(endpoint) {
        let _absent = OPENINGS.remove(key);
        return if signal.may_begin() {
            Ok(None)
        } else {
            Err(Counter::EndpointGone)
        };
    }
    if signal == Signal::Opens {
        // The client sent its SYN again.
        return deliver(endpoint, Counter::FlowNew).map(Some);
    }
    let now = jiffies();
    claim(key, endpoint, now)?;
    let settled = Flow::new(flow.endpoint(), endpoint.generation(), now);
    REPLIES
        .insert(
            reply_key(key, endpoint),
            reply(key, now),
            u64::from(BPF_ANY),
        )
        .and_then(|()| FLOWS.insert(key, settled, u64::from(BPF_ANY)))
        .map_err(|_error| Counter::FlowTableFull)?;
    let _absent = OPENINGS.remove(key);
    let _absent = OPENING_REPLIES.remove(reply_key(key, endpoint));
    deliver(endpoint, Counter::FlowHit).map(Some)
}

/// Remembers the first packet of a flow, in the small tables.
#[inline(always)]
fn open(key: &FlowKey, id: EndpointId, endpoint: &Endpoint) -> Result<(), Counter> {
    let now = jiffies();
    claim(key, endpoint, now)?;
    OPENING_REPLIES
        .insert(
            reply_key(key, endpoint),
            reply(key, now),
            u64::from(BPF_ANY),
        )
        .and_then(|()| {
            OPENINGS.insert(
                key,
                Flow::new(id, endpoint.generation(), now),
                u64::from(BPF_ANY),
            )
        })
        .map_err(|_error| Counter::FlowTableFull)
}

/// Makes sure that no other live flow has the same reverse key: the endpoint could not tell the two apart.
#[inline(always)]
fn claim(key: &FlowKey, endpoint: &Endpoint, now: u64) -> Result<(), Counter> {
    let reverse = reply_key(key, endpoint);
    for (settled, entry) in [
        (true, REPLIES.get_ptr(reverse)),
        (false, OPENING_REPLIES.get_ptr(reverse)),
    ] {
        let Some(entry) = entry else { continue };
        // SAFETY: map memory stays valid while the program runs.
        let entry = unsafe { *entry };
        if entry.vip() == key.local() && entry.port() == key.local_port() {
            continue;
        }
        if !entry.is_free(now) {
            return Err(Counter::FlowCollision);
        }
        // What has ended must not be found before the entry that is about to be written.
        if settled {
            let _absent = REPLIES.remove(reverse);
        }
    }
    Ok(())
}

/// Notes on the reverse entry that its flow has ended.
#[inline(always)]
fn close_reply(key: &FlowKey, endpoint: &Endpoint) {
    if let Some(entry) = REPLIES.get_ptr_mut(reply_key(key, endpoint)) {
        // SAFETY: map memory stays valid while the program runs; a single byte is written.
        unsafe { (*entry).close() };
    }
}

/// The entry for an endpoint's reply, and a note that the flow lives or has ended.
#[inline(always)]
pub(crate) fn reply_of(key: &FlowKey, signal: Signal) -> Option<(Address, [u8; 2])> {
    let entry = REPLIES
        .get_ptr_mut(key)
        .or_else(|| OPENING_REPLIES.get_ptr_mut(key))?;
    // SAFETY: map memory stays valid while the program runs; each write is a single store.
    let entry = unsafe { &mut *entry };
    entry.touch(jiffies());
    if signal == Signal::Ends {
        entry.close();
    }
    Some((entry.vip(), entry.port()))
}

/// Whether a flow is known by its reverse key.
#[inline(always)]
pub(crate) fn is_known(key: &FlowKey) -> bool {
    REPLIES.get_ptr(key).is_some()
}

/// An endpoint of this node gets the packet; one of another node cannot yet.
#[inline(always)]
fn deliver(endpoint: &Endpoint, reason: Counter) -> Result<Steering, Counter> {
    match endpoint.place() {
        Place::Here => Ok(Steering {
            address: endpoint.address(),
            port: endpoint.port(),
            reason,
        }),
        Place::Elsewhere => Err(Counter::EndpointRemote),
        Place::Absent => Err(Counter::Inconsistent),
    }
}

#[inline(always)]
fn reply_key(key: &FlowKey, endpoint: &Endpoint) -> FlowKey {
    key.with_local(endpoint.address(), endpoint.port())
}

#[inline(always)]
fn reply(key: &FlowKey, now: u64) -> Reply {
    Reply::new(key.local(), key.local_port(), now)
}

#[inline(always)]
fn jiffies() -> u64 {
    // SAFETY: takes nothing and reads a counter.
    unsafe { bpf_jiffies64() }
}
