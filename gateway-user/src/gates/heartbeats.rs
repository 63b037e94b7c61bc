//! Heartbeats on the network: a UDP socket, and a thread that reads it. What they mean is the announcer's business.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use gateway_announce::membership::heartbeat::Heartbeat;
use gateway_announce::wire::{self, BYTES_MAX, Keys, PORT};
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use tracing::{debug, trace, warn};

/// How long the end of the thread may take.
const STOP_CHECK: Duration = Duration::from_millis(200);

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
    family: IpAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    keys: RwLock<Keys>,
    traffic: Traffic,
    stop: AtomicBool,
}

impl Heartbeats {
    /// Listens on every address of the family of this node's own.
    ///
    /// # Errors
    /// When the port is taken.
    pub(super) fn open(
        own: IpAddr,
        keys: Keys,
        traffic: Traffic,
        deliver: impl Fn(Heartbeat) + Send + 'static,
    ) -> io::Result<Self> {
        let family = match own {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((family, PORT))?;
        let reader = socket.try_clone()?;
        reader.set_read_timeout(Some(STOP_CHECK))?;
        let shared = Arc::new(Shared {
            keys: RwLock::new(keys),
            traffic,
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("heartbeats".to_owned())
            .spawn(move || read(&reader, &theirs, deliver))?;
        Ok(Self {
            socket,
            family,
            shared,
            thread: Some(thread),
        })
    }

    /// Signs with other keys from now on.
    pub(super) fn rekey(&self, keys: Keys) {
        *self.shared.keys.write() = keys;
    }

    /// Tells whether the socket can reach nodes of this address's family.
    pub(super) fn fits(&self, own: IpAddr) -> bool {
        own.is_ipv4() == self.family.is_ipv4()
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
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the thread of heartbeats panicked");
        }
    }
}

fn read(socket: &UdpSocket, shared: &Shared, deliver: impl Fn(Heartbeat)) {
    let mut buffer = vec![0; BYTES_MAX];
    while !shared.stop.load(Ordering::Relaxed) {
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
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
