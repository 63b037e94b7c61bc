//! The signals that end the process.

use anyhow::Context;
use tokio::signal::unix::{self, SignalKind};
use tracing::warn;

/// What the process was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Ctrl-C in the foreground.
    Interrupt,
    /// A service manager or the kubelet.
    Terminate,
}

/// The signals from here on.
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    /// Takes the signals over from the kernel's default, which is to die.
    pub(super) fn new() -> anyhow::Result<Self> {
        let take = |kind| unix::signal(kind).context("cannot handle signals");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }

    /// From now on a signal ends the process at once: whoever sends two does not want to wait.
    pub(super) fn end_at_the_next(mut self) {
        tokio::spawn(async move {
            let signal = self.next().await;
            warn!(?signal, "ended at once by a second signal");
            std::process::exit(1);
        });
    }
}
