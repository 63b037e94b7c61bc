//! The complete, immutable result of one translation.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::ParseIntError;

use serde::{Deserialize, Serialize};

use crate::{AnnounceSettings, DatapathSettings, HttpPort, Pool, Service, Vip, WorkerSettings};

/// The identity of a snapshot: a hash of its content, so that two nodes that run the same configuration say the same.
///
/// Written as 16 hexadecimal digits: a JSON number of 64 bits is not exact in every language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Generation(pub u64);

impl From<Generation> for String {
    fn from(generation: Generation) -> Self {
        generation.to_string()
    }
}

impl TryFrom<String> for Generation {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Everything that the data planes need, for all nodes: each node picks out its own part.
///
/// Lists are in a fixed order (by name or address), so equal content hashes equally.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Snapshot {
    /// The addresses that gate 1 announces, sorted by address.
    pub vips: Vec<Vip>,
    /// The ranges that VIPs come from: gate 1 guards all of them, allocated or not. Sorted by name.
    pub pools: Vec<Pool>,
    /// The frontends that gate 2 steers or hands to gate 3, sorted by address, port and protocol.
    pub services: Vec<Service>,
    /// The ports that gate 3 serves, sorted by addresses and port.
    pub http: Vec<HttpPort>,
    /// How gate 1 runs.
    pub announce: AnnounceSettings,
    /// How gate 2 runs.
    pub datapath: DatapathSettings,
    /// How gate 3 runs as a whole.
    pub proxy: WorkerSettings,
}

impl Snapshot {
    /// The content's hash, the same on every node that runs the same build.
    pub fn generation(&self) -> Generation {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        Generation(hasher.finish())
    }
}
