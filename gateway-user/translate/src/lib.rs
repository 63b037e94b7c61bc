//! Gateway API objects in, snapshot and conditions out.
//!
//! [`translate`] is pure and total: it never fails, reads no clock, file or network, and gives the same outcome for the
//! same objects on every node. One walk makes the snapshot and the conditions of every object, so that what status
//! says is what the data planes do. An object that can not be served affects itself only.

#![forbid(unsafe_code)]

pub mod inputs;
pub mod kinds;
pub mod object;
pub mod status;

use std::net::IpAddr;

use gateway_ir::Snapshot;
use serde::Serialize;

pub use inputs::Inputs;
pub use object::{Object, ObjectError};
pub use status::{
    Condition, ConditionStatus, ConditionType, Kind, ListenerStatus, ObjectKey, ObjectStatus,
    ParentReference, ParentStatus, Reason,
};

/// What translation knows beside the objects.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The controller name that our GatewayClasses carry.
    pub controller_name: String,
    /// The addresses of this machine's interfaces: no pool may hold one of them.
    pub own_addresses: Vec<IpAddr>,
    /// Whether addresses are announced.
    pub announce: Announce,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            controller_name: "sanmon.dev/gateway-controller".to_owned(),
            own_addresses: Vec::new(),
            announce: Announce::On,
        }
    }
}

/// Whether gates 1 and 2 run on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announce {
    /// Gateways get addresses from the pools.
    On,
    /// Gate 3 alone serves, on addresses that the machine has already; says why in one sentence.
    Off(String),
}

/// What translation makes.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What the data planes run.
    pub snapshot: Snapshot,
    /// What became of each object that is ours, sorted by kind and name.
    pub statuses: Vec<ObjectStatus>,
}

/// Translates all objects.
pub fn translate(_inputs: &Inputs, _settings: &Settings) -> Outcome {
    Outcome {
        snapshot: Snapshot::default(),
        statuses: Vec::new(),
    }
}
