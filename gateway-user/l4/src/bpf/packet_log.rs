//! The programs' per-packet log, for debugging: aya-log's ring, read by a thread of its own as it fills.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::thread;

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::Log;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::warn;

/// Milliseconds that the thread may go on after the programs are let go.
const END_MAX: u8 = 200;

/// Reads for as long as it lives.
#[derive(Debug)]
pub(super) struct PacketLog {
    _held: Arc<()>,
}

impl PacketLog {
    /// Starts to read; an object that was built without the feature has nothing to read, and that is said.
    pub(super) fn start(object: &mut Ebpf) -> Self {
        let held = Arc::new(());
        match EbpfLogger::init(object) {
            Ok(logger) => {
                let holder = Arc::downgrade(&held);
                let name = "packet-log".to_owned();
                let thread = thread::Builder::new().name(name);
                if let Err(error) = thread.spawn(move || read(logger, &holder)) {
                    warn!(%error, "what the programs log is not read");
                }
            }
            Err(error) => {
                warn!(%error, "the programs do not log: build them with the feature, too")
            }
        }
        Self { _held: held }
    }
}

fn read(mut logger: EbpfLogger<&'static dyn Log>, holder: &Weak<()>) {
    while holder.strong_count() > 0 {
        match wait(&logger) {
            Ok(()) => logger.flush(),
            Err(error) => return warn!(%error, "what the programs log is not read any more"),
        }
    }
}

fn wait(logger: &EbpfLogger<&'static dyn Log>) -> io::Result<()> {
    let mut ring = [PollFd::new(logger.as_fd(), PollFlags::POLLIN)];
    match poll(&mut ring, PollTimeout::from(END_MAX)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
