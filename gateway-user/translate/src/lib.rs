//! Gateway API objects in, snapshot and conditions out.
//!
//! [`translate`] is pure and total: it never fails, reads no clock, file or network, and gives the same outcome for the
//! same objects on every node. One walk makes the snapshot and the conditions of every object, so that what status
//! says is what the data planes do. An object that can not be served affects itself only.
//!
//! ```text
//! Inputs ─► conv ─► ground: config (classes, pools, settings)
//!                           listener (Gateways, ListenerSets, their listeners) ─► vips ─► conflict, overlap
//!                           gateway_config (settings of one Gateway), grants, backend_policy (TLS to endpoints)
//!                   routes (http_route ─► backend) ─► attach ─► hosts (programs) ─► shadow (warnings)
//!                   streams (tls_route, l4_route ─► backend) ─► attach
//!                        └─► assemble ─► Snapshot
//!                   gateway_status, set_status, listener_status, backend_policy, routes ─► conditions
//! ```
//!
//! A [`Translator`] remembers the last state, and makes again only what differs from it.
//!
//! Only `conv` names types of the Kubernetes API; what it gives is in `model`, with defaults filled in and every value
//! parsed. A rule's program and a backend's endpoints are made once and shared, wherever the route attaches.

#![forbid(unsafe_code)]

mod assemble;
mod attach;
mod authority;
mod backend;
mod backend_policy;
mod client_certificate;
mod condition;
mod config;
mod conflict;
mod conv;
mod expiry;
mod filter_chain;
mod gateway_config;
mod gateway_status;
mod ground;
mod hosts;
mod http_route;
pub mod inputs;
pub mod key;
pub mod kinds;
mod l4_route;
mod listener;
mod listener_set;
mod listener_status;
mod listener_tls;
mod model;
pub mod object;
mod overlap;
mod routes;
mod selector;
pub mod served;
mod set_status;
pub mod shadow;
pub mod status;
pub mod statuses;
mod streams;
mod tls_route;
mod translator;
mod uses;
mod validity;
mod vips;

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_ir::{Mac, Snapshot};
use serde::Serialize;

use validity::Time;

pub use conv::service::SERVICE_NAME;
pub use inputs::Inputs;
pub use key::{Kind, ObjectKey};
pub use object::{Object, ObjectError};
pub use served::Served;
pub use shadow::Warning;
pub use status::{
    AncestorStatus, Condition, ConditionStatus, ConditionType, ListenerStatus, ObjectStatus,
    ParentReference, ParentStatus, Reason,
};
pub use statuses::Statuses;
pub use translator::Translator;

/// What translation knows beside the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The controller name that our GatewayClasses carry.
    pub controller_name: String,
    /// The addresses of this machine's interfaces: no pool may hold one of them.
    pub own_addresses: Vec<IpAddr>,
    /// Whether addresses are announced.
    pub announce: Announce,
    /// Addresses that other machines have: chosen only where there is no other, unless a Gateway names them.
    pub aside: BTreeMap<IpAddr, Mac>,
    /// The time in seconds since 1970, which certificates are judged by; 0: they are not. It changes what is said, and
    /// never what is served.
    pub now: i64,
}

impl Settings {
    fn time(&self) -> Time {
        Time::new(self.now)
    }

    /// Whether everything that is served is the same under other settings.
    fn serves_as(&self, other: &Self) -> bool {
        *self
            == Self {
                now: self.now,
                ..other.clone()
            }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            controller_name: "sanmon.dev/gateway-controller".to_owned(),
            own_addresses: Vec::new(),
            announce: Announce::On,
            aside: BTreeMap::new(),
            now: 0,
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
    pub statuses: Statuses,
    /// What is served as configured, and hardly as meant; sorted.
    pub warnings: Vec<Warning>,
    /// Certificates that are used before their time or after it; sorted.
    pub certificates: Vec<Warning>,
    /// When, in seconds since 1970, something else is to be said of certificates; none: never.
    pub until: Option<i64>,
}

/// Translates all objects, from nothing.
pub fn translate(inputs: &Inputs, settings: &Settings) -> Outcome {
    Translator::default().translate(inputs, settings)
}
