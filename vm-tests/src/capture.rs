//! Frames on the wire: records what passes an interface, waits for what should pass, and puts frames there.
//!
//! When the thread that holds a recording panics, the frames are written as a pcap file and its path is printed.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;
use parking_lot::{Condvar, Mutex};

use crate::Namespace;

/// Longest frame that is kept; super-packets of a veth are cut.
const FRAME_BYTES_MAX: usize = 9216;
/// How often the recorder looks whether it should end.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// A frame as it passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When it was read, counted from the start of the recording.
    pub at: Duration,
    /// From the destination address on, without a checksum.
    pub bytes: Vec<u8>,
}

/// A recording of one interface, in both directions, that goes on until it is dropped.
#[derive(Debug)]
pub struct Capture {
    name: String,
    started: Instant,
    recorder: Arc<Recorder>,
    socket: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Recorder {
    frames: Mutex<Vec<Frame>>,
    news: Condvar,
    stop: AtomicBool,
}

impl Capture {
    /// Starts to record an interface.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn start(namespace: &Namespace, interface: &str) -> anyhow::Result<Self> {
        let socket = open(namespace, interface)?;
        let socket = Arc::new(socket);
        let recorder = Arc::new(Recorder::default());
        let started = Instant::now();
        let thread = {
            let (socket, recorder) = (Arc::clone(&socket), Arc::clone(&recorder));
            std::thread::spawn(move || record(&socket, &recorder, started))
        };
        Ok(Self {
            name: format!("{}-{interface}", namespace.name()),
            started,
            recorder,
            socket,
            thread: Some(thread),
        })
    }

    /// Now, on the clock of [`Frame::at`].
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The frames until now.
    pub fn frames(&self) -> Vec<Frame> {
        self.recorder.frames.lock().clone()
    }

    /// Waits for a frame that `pick` knows, among those that passed at `since` or later.
    ///
    /// # Errors
    /// When none passes within the time.
    pub fn wait_for<T>(
        &self,
        what: &str,
        since: Duration,
        timeout: Duration,
        pick: impl Fn(&Frame) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + timeout;
        let mut frames = self.recorder.frames.lock();
        let mut seen = 0;
        loop {
            let fresh = frames.iter().skip(seen);
            if let Some(found) = fresh.filter(|frame| frame.at >= since).find_map(&pick) {
                return Ok(found);
            }
            seen = frames.len();
            let waited = self.recorder.news.wait_until(&mut frames, deadline);
            if waited.timed_out() && frames.len() == seen {
                return Err(anyhow!(
                    "no {what} on {} within {timeout:?} ({seen} frames seen)",
                    self.name
                ));
            }
        }
    }

    /// Puts a frame on the wire, out of the interface.
    ///
    /// # Errors
    /// When the interface is down.
    pub fn send(&self, frame: &[u8]) -> anyhow::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())
            .with_context(|| format!("cannot send on {}", self.name))?;
        Ok(())
    }

    /// Writes the frames as a pcap file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_pcap(&self, path: &Path) -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        // Magic, version 2.4, no zone, no accuracy, snap length, link type Ethernet.
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
            file.write_all(&word.to_le_bytes())?;
        }
        for frame in self.frames() {
            let length = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
            let seconds = u32::try_from(frame.at.as_secs()).unwrap_or(u32::MAX);
            for word in [seconds, frame.at.subsec_micros(), length, length] {
                file.write_all(&word.to_le_bytes())?;
            }
            file.write_all(&frame.bytes)?;
        }
        file.flush()
    }

    /// Names a pcap file with the frames in the error of a test, if it has failed.
    ///
    /// # Errors
    /// What the test returned.
    pub fn explain<T>(&self, test: &str, result: anyhow::Result<T>) -> anyhow::Result<T> {
        result.map_err(|error| {
            let path =
                std::env::temp_dir().join(format!("sanmon-{}-{test}.pcap", std::process::id()));
            error.context(match self.write_pcap(&path) {
                Ok(()) => format!("frames of {}: {}", self.name, path.display()),
                Err(lost) => format!("frames of {} are lost: {lost}", self.name),
            })
        })
    }

    fn pcap_path(&self) -> PathBuf {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let file = format!("sanmon-{}-{}-{number}.pcap", self.name, std::process::id());
        std::env::temp_dir().join(file)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.recorder.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The recorder has nothing to say.
            let _joined = thread.join();
        }
        if std::thread::panicking() {
            let path = self.pcap_path();
            let mut out = std::io::stderr();
            // The panic is the message; this is only a hint.
            let _unheard = match self.write_pcap(&path) {
                Ok(()) => writeln!(out, "frames of {}: {}", self.name, path.display()),
                Err(error) => writeln!(out, "frames of {} are lost: {error}", self.name),
            };
        }
    }
}

/// Opens a packet socket on an interface, for all protocols.
pub(crate) fn open(namespace: &Namespace, interface: &str) -> anyhow::Result<OwnedFd> {
    let wanted = interface.to_owned();
    namespace.run(move || async move {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .context("cannot open a packet socket")?;
        let address = nix::ifaddrs::getifaddrs()?
            .filter(|entry| entry.interface_name == wanted)
            .find_map(|entry| entry.address?.as_link_addr().copied())
            .ok_or_else(|| anyhow!("no interface {wanted}"))?;
        bind(socket.as_raw_fd(), &address).context("cannot bind a packet socket")?;
        let timeout = TimeVal::new(0, i64::from(STOP_CHECK.subsec_micros()));
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout)?;
        setsockopt(&socket, sockopt::RcvBuf, &(4 << 20))?;
        Ok(socket)
    })
}

fn record(socket: &OwnedFd, recorder: &Recorder, started: Instant) {
    let mut buffer = vec![0_u8; FRAME_BYTES_MAX];
    while !recorder.stop.load(Ordering::Relaxed) {
        let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
            // The timeout, or the interface is down for now.
            continue;
        };
        let frame = Frame {
            at: started.elapsed(),
            bytes: buffer.iter().take(length).copied().collect(),
        };
        recorder.frames.lock().push(frame);
        recorder.news.notify_all();
    }
}
