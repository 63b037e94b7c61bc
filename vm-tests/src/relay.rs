//! A bad stretch in the cable of a host: takes frames from one interface, keeps them for as long as they are under way,
//! and puts them out of another.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt};
use nix::{libc, setsockopt_impl, sockopt_impl};
use parking_lot::{Condvar, Mutex};

use crate::Namespace;
use crate::capture::open;
use crate::impairment::Impairment;
use crate::transit::Transit;

/// The longest super-packet of a veth, with the header that says what the kernel has left undone in it.
const FRAME_BYTES_MAX: usize = 65_536 + 256;
/// How often a thread looks whether it should end.
const STOP_CHECK: Duration = Duration::from_millis(50);

sockopt_impl!(
    /// Each frame comes and goes with what is left to do: checksums, segmentation.
    Undone,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_VNET_HDR,
    bool
);

/// The stretch. No frame passes any more when it ends.
#[derive(Debug)]
pub struct Relay {
    to_host: Direction,
    to_switch: Direction,
}

impl Relay {
    /// Starts to carry frames between two interfaces of a namespace, for now without trouble.
    ///
    /// # Errors
    /// When an interface does not exist.
    pub(crate) fn start(switch: &Namespace, host: &str, trunk: &str) -> anyhow::Result<Self> {
        let host = Arc::new(socket(switch, host)?);
        let trunk = Arc::new(socket(switch, trunk)?);
        Ok(Self {
            to_host: Direction::start(Arc::clone(&trunk), Arc::clone(&host)),
            to_switch: Direction::start(host, trunk),
        })
    }

    /// Changes what happens to the frames that the host is sent.
    pub fn impair_to_host(&self, impairment: Impairment) {
        self.to_host.road.transit.lock().impair(impairment);
    }

    /// Changes what happens to the frames that the host sends.
    pub fn impair_to_switch(&self, impairment: Impairment) {
        self.to_switch.road.transit.lock().impair(impairment);
    }
}

/// One way of a stretch.
#[derive(Debug)]
struct Direction {
    road: Arc<Road>,
    threads: [Option<JoinHandle<()>>; 2],
}

#[derive(Debug)]
struct Road {
    started: Instant,
    transit: Mutex<Transit>,
    news: Condvar,
    stop: AtomicBool,
}

impl Direction {
    fn start(from: Arc<OwnedFd>, to: Arc<OwnedFd>) -> Self {
        let road = Arc::new(Road {
            started: Instant::now(),
            transit: Mutex::new(Transit::new(u64::from(std::process::id()))),
            news: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let (inward, outward) = (Arc::clone(&road), Arc::clone(&road));
        let threads = [
            Some(std::thread::spawn(move || take_in(&from, &inward))),
            Some(std::thread::spawn(move || give_out(&to, &outward))),
        ];
        Self { road, threads }
    }
}

impl Drop for Direction {
    fn drop(&mut self) {
        self.road.stop.store(true, Ordering::Relaxed);
        self.road.news.notify_all();
        for thread in self.threads.iter_mut().filter_map(Option::take) {
            // It has nothing to say.
            let _joined = thread.join();
        }
    }
}

fn socket(switch: &Namespace, interface: &str) -> anyhow::Result<OwnedFd> {
    let socket = open(switch, interface)?;
    setsockopt(&socket, Undone, &true).context("cannot ask for what is left to do in frames")?;
    Ok(socket)
}

fn take_in(from: &OwnedFd, road: &Road) {
    let mut buffer = vec![0_u8; FRAME_BYTES_MAX];
    while !road.stop.load(Ordering::Relaxed) {
        let Ok(length) = recv(from.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
            // The timeout, or the interface is down for now.
            continue;
        };
        let frame = buffer.iter().take(length).copied().collect();
        let now = road.started.elapsed();
        road.transit.lock().enter(now, frame);
        road.news.notify_all();
    }
}

fn give_out(to: &OwnedFd, road: &Road) {
    let mut transit = road.transit.lock();
    while !road.stop.load(Ordering::Relaxed) {
        let now = road.started.elapsed();
        if let Some(frame) = transit.leave(now) {
            // What cannot be sent is lost: the interface is down for now.
            let _lost = send(to.as_raw_fd(), &frame, MsgFlags::empty());
            continue;
        }
        let idle = transit.next_due().map_or(STOP_CHECK, |due| due - now);
        let _timed_out = road.news.wait_for(&mut transit, idle.min(STOP_CHECK));
    }
}
