//! The programs' per-packet log, for debugging: aya-log's ring, read when the agent talks to the datapath.

use std::fmt;

use aya::Ebpf;
use aya_log::EbpfLogger;
use tracing::warn;

/// The reader; none: the programs were built without the feature.
pub(super) struct PacketLog(Option<Box<dyn FnMut() + Send>>);

impl PacketLog {
    pub(super) fn open(object: &mut Ebpf) -> Self {
        match EbpfLogger::init(object) {
            Ok(mut logger) => Self(Some(Box::new(move || logger.flush()))),
            Err(error) => {
                warn!(%error, "the programs do not log");
                Self(None)
            }
        }
    }

    pub(super) fn read(&mut self) {
        if let Some(flush) = &mut self.0 {
            flush();
        }
    }
}

// The library's reader does not print itself.
impl fmt::Debug for PacketLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PacketLog").field(&self.0.is_some()).finish()
    }
}
