//! Reads the answers that one of two nodes waits for: ARP replies, neighbour advertisements and echo replies, whatever the
//! rest of the stack makes of them. What they mean is the announcer's business.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use gateway_announce::Seen;
use gateway_control::Published;
use gateway_ir::Interface;
use nix::libc;
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tracing::{debug, warn};

use super::frames::link_address;
use crate::interfaces::Present;

/// How long the end of a thread may take.
const STOP_CHECK: Duration = Duration::from_millis(200);
/// The answers are shorter; of a frame that only looks like one the rest does not matter.
const FRAME_BYTES_MAX: usize = 128;
/// Answers that wait to be read: more than a round of questions brings, far less than a flood.
const BUFFER_BYTES: usize = 64 << 10;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

/// The open sockets. The threads end with this value.
#[derive(Debug)]
pub(super) struct Lookout {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Lookout {
    /// Opens the sockets, on all interfaces.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub(super) fn open(deliver: impl Fn(Seen) + Clone + Send + 'static) -> io::Result<Self> {
        let mut lookout = Self {
            stop: Arc::new(AtomicBool::new(false)),
            threads: Vec::new(),
        };
        let wanted = [
            (ETH_P_ARP, arp_reply()),
            (ETH_P_IP, echo_reply()),
            (ETH_P_IPV6, icmpv6_answer()),
        ];
        for (protocol, filter) in wanted {
            // Protocol 0 receives nothing before the filter is there.
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
            socket.attach_filter(&filter)?;
            socket.set_recv_buffer_size(BUFFER_BYTES)?;
            socket.set_read_timeout(Some(STOP_CHECK))?;
            socket.bind(&link_address(0, protocol)?)?;
            let (stop, deliver) = (Arc::clone(&lookout.stop), deliver.clone());
            let thread = std::thread::Builder::new()
                .name("lookout".to_owned())
                .spawn(move || read(&socket, &stop, deliver))?;
            lookout.threads.push(thread);
        }
        Ok(lookout)
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                warn!("a thread that reads answers panicked");
            }
        }
    }
}

/// The machines that one of two nodes asks when it does not hear the other: the routers, and those that the configuration
/// names, as far as they are neighbours and none of our nodes. A router of both families is one machine, so IPv6 routers
/// count only where there is nobody else.
pub(super) fn witnesses(
    present: &Present,
    published: &Published,
    interfaces: &[Interface],
) -> Vec<IpAddr> {
    let configured = &published.snapshot.announce.witnesses;
    let all: BTreeSet<IpAddr> = present.routers.iter().chain(configured).copied().collect();
    let peers: BTreeSet<IpAddr> = published.peers.iter().filter_map(|it| it.address).collect();
    let mut all: Vec<IpAddr> = all.difference(&peers).copied().collect();
    all.retain(|it| interfaces.iter().any(|at| at.reaches(*it) && !at.owns(*it)));
    let is_second = |it: &IpAddr| it.is_ipv6() && !configured.contains(it);
    if !all.iter().all(is_second) {
        all.retain(|it| !is_second(it));
    }
    all
}

fn read(socket: &Socket, stop: &AtomicBool, deliver: impl Fn(Seen)) {
    let mut buffer = [0; FRAME_BYTES_MAX];
    while !stop.load(Ordering::Relaxed) {
        let (length, from) = match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok(received) => received,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => continue,
            Err(error) => {
                debug!(%error, "answers are not read");
                continue;
            }
        };
        let interface = from.and_then(|it| u32::try_from(it.ifindex()).ok());
        let frame = buffer.get(..length).unwrap_or_default();
        if let Some(seen) = interface.and_then(|it| Seen::parse(it, frame)) {
            deliver(seen);
        }
    }
}

/// Passes ARP replies: the operation, 6 bytes into ARP, is 2.
fn arp_reply() -> Vec<SockFilter> {
    vec![
        load(libc::BPF_H | libc::BPF_ABS, 14 + 6),
        jump_unless_equal(2, 1),
        verdict(FRAME_BYTES_MAX),
        verdict(0),
    ]
}

/// Passes echo replies: protocol 1, and the first byte behind the IPv4 header is 0.
fn echo_reply() -> Vec<SockFilter> {
    vec![
        load(libc::BPF_B | libc::BPF_ABS, 14 + 9),
        jump_unless_equal(1, 4),
        code(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, NO_JUMP, 14),
        load(libc::BPF_B | libc::BPF_IND, 14),
        jump_unless_equal(0, 1),
        verdict(FRAME_BYTES_MAX),
        verdict(0),
    ]
}

/// Passes neighbour advertisements and echo replies: next header 58, and the first byte behind the IPv6 header is 136 or
/// 129.
fn icmpv6_answer() -> Vec<SockFilter> {
    vec![
        load(libc::BPF_B | libc::BPF_ABS, 14 + 6),
        jump_unless_equal(58, 4),
        load(libc::BPF_B | libc::BPF_ABS, 14 + 40),
        jump(136, 1, 0),
        jump_unless_equal(129, 1),
        verdict(FRAME_BYTES_MAX),
        verdict(0),
    ]
}

fn load(mode: u32, at: u32) -> SockFilter {
    code(libc::BPF_LD | mode, NO_JUMP, at)
}

fn jump_unless_equal(value: u32, skip: u8) -> SockFilter {
    jump(value, 0, skip)
}

/// Skips so many instructions when the value is equal, and so many when it is not.
fn jump(value: u32, equal: u8, other: u8) -> SockFilter {
    code(
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        (equal, other),
        value,
    )
}

fn verdict(bytes: usize) -> SockFilter {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    code(libc::BPF_RET | libc::BPF_K, NO_JUMP, bytes)
}

const NO_JUMP: (u8, u8) = (0, 0);

fn code(code: u32, (equal, other): (u8, u8), k: u32) -> SockFilter {
    // The kernel's codes have 16 bits.
    let code = u16::try_from(code).unwrap_or(u16::MAX);
    SockFilter::new(code, equal, other, k)
}
