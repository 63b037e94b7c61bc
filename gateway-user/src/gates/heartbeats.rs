//! Heartbeats on the network: a UDP socket, and a thread that reads it. What they mean is the announcer's business.

use std::io::{self, ErrorKind, PipeReader, PipeWriter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use gateway_announce::membership::heartbeat::Heartbeat;
use gateway_announce::wire::{self, BYTES_MAX, Keys, PORT};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use tracing::{debug, trace, warn};

/// What passed the socket; for metrics.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    pub(super) sent: Counter,
    pub(super) received: Counter,
    pub(super) refused: Counter,
}

/// The open socket. The thread ends with this value.
#[derive(Debug)]
pub(super) struct Heartbeats {
    socket: UdpSocket,
    shared: Arc<Shared>,
    /// Closed to end the thread.
    open: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    keys: RwLock<Keys>,
    traffic: Traffic,
}

impl Heartbeats {
    /// A socket on every address of the family of this node's own.
    ///
    /// # Errors
    /// When the port is taken.
    pub(super) fn bind(own: IpAddr) -> io::Result<UdpSocket> {
        let family = match own {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        UdpSocket::bind((family, PORT))
    }

    /// Reads a socket, and sends on it.
    ///
    /// # Errors
    /// When there is no thread or no descriptor left.
    pub(super) fn open(
        socket: UdpSocket,
        keys: Keys,
        traffic: Traffic,
        deliver: impl Fn(Heartbeat) + Send + 'static,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let reader = socket.try_clone()?;
        let shared = Arc::new(Shared {
            keys: RwLock::new(keys),
            traffic,
        });
        let theirs = Arc::clone(&shared);
        let (is_open, open) = io::pipe()?;
        let thread = std::thread::Builder::new()
            .name("heartbeats".to_owned())
            .spawn(move || read(&reader, &is_open, &theirs, deliver))?;
        Ok(Self {
            socket,
            shared,
            open: Some(open),
            thread: Some(thread),
        })
    }

    /// Reads no more, and gives the socket with what comes from now on.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(super) fn close(self) -> io::Result<UdpSocket> {
        self.socket.try_clone()
    }

    /// Signs with other keys from now on.
    pub(super) fn rekey(&self, keys: Keys) {
        *self.shared.keys.write() = keys;
    }

    /// Tells whether the socket can reach nodes of this address's family.
    pub(super) fn fits(&self, own: IpAddr) -> bool {
        fits(&self.socket, own)
    }

    pub(super) fn send(&self, heartbeat: &Heartbeat, to: IpAddr) {
        let bytes = wire::encode(heartbeat, &self.shared.keys.read());
        match self.socket.send_to(&bytes, SocketAddr::new(to, PORT)) {
            Ok(_length) => {
                self.shared.traffic.sent.inc();
            }
            Err(error) => debug!(%error, "heartbeat not sent"),
        }
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        drop(self.open.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the thread of heartbeats panicked");
        }
    }
}

/// Tells whether a socket can reach nodes of this address's family.
pub(super) fn fits(socket: &UdpSocket, own: IpAddr) -> bool {
    let bound = socket.local_addr();
    bound.is_ok_and(|it| it.is_ipv4() == own.is_ipv4())
}

fn read(socket: &UdpSocket, open: &PipeReader, shared: &Shared, deliver: impl Fn(Heartbeat)) {
    let mut buffer = vec![0; BYTES_MAX];
    while is_wanted(socket, open) {
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => {
                // An ICMP error of a peer that does not listen shows here.
                trace!(%error, "heartbeats not read");
                continue;
            }
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        match wire::decode(bytes, &shared.keys.read()) {
            Ok(heartbeat) => {
                shared.traffic.received.inc();
                deliver(heartbeat);
            }
            Err(error) => {
                shared.traffic.refused.inc();
                debug!(%from, %error, "datagram refused");
            }
        }
    }
}

/// Waits for a datagram; tells whether it is to be read.
fn is_wanted(socket: &UdpSocket, open: &PipeReader) -> bool {
    let mut both = [socket.as_fd(), open.as_fd()].map(|it| PollFd::new(it, PollFlags::POLLIN));
    match poll(&mut both, PollTimeout::NONE) {
        Ok(_) => both.get(1).is_none_or(|it| it.any() != Some(true)),
        Err(Errno::EINTR) => true,
        Err(error) => {
            warn!(%error, "heartbeats are not read any more");
            false
        }
    }
}
