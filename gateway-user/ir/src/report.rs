//! What a gate says back: facts that become conditions, `/readyz` and metrics.

use std::fmt;

use serde::Serialize;

use crate::{Generation, ListenerId};

/// One of the three gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// Gate 1: answers ARP and NDP for VIPs.
    Announce,
    /// Gate 2: steers packets.
    Steer,
    /// Gate 3: terminates HTTP and TLS.
    Proxy,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announce => "gate 1 (announce)",
            Self::Steer => "gate 2 (steer)",
            Self::Proxy => "gate 3 (proxy)",
        })
    }
}

/// The state of a gate. The latest one counts, so it may be sent through a channel that keeps only the last value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GateReport {
    /// The snapshot that the gate runs; none: none yet.
    pub programmed: Option<Generation>,
    /// Why the gate is off, if it is: a sentence that says what to do.
    pub off: Option<String>,
    /// Listeners that the gate could not program, sorted by id.
    pub failures: Vec<ListenerFailure>,
    /// Listeners that do not work as they should at the node that serves them, which is another one; sorted by id.
    pub elsewhere: Vec<ListenerFailure>,
}

/// A listener that does not work although its configuration is valid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ListenerFailure {
    /// The listener.
    pub listener: ListenerId,
    /// What went wrong and what to do, as a sentence: it becomes the message of `Programmed=False`.
    pub message: String,
}
