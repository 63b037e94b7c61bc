//! Gateway API objects in, snapshot and conditions out.
//!
//! [`translate`] is pure and total: it never fails, reads no clock, file or network, and gives the same outcome for the
//! same objects on every node. One walk makes the snapshot and the conditions of every object, so that what status
//! says is what the data planes do. An object that can not be served affects itself only.
//!
//! ```text
//! Inputs ─► conv ─► config (classes, pools, settings), gateway_config (settings of one Gateway)
//!                   listener (Gateways, ListenerSets, their listeners) ─► vips ─► conflict, overlap
//!                   backend_policy (TLS to endpoints)
//!                   routes (http_route, tls_route, l4_route ─► backend) ─► attach
//!                        └─► assemble ─► Snapshot ─► shadow (warnings)
//!                   gateway_status, set_status, listener_status, backend_policy, routes ─► conditions
//! ```
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
mod filter_chain;
mod gateway_config;
mod gateway_status;
mod http_route;
pub mod inputs;
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
mod set_status;
pub mod shadow;
pub mod status;
mod tls_route;
mod vips;

use std::net::IpAddr;

use gateway_ir::Snapshot;
use serde::Serialize;

use crate::backend_policy::Policies;
use crate::conv::grant::Grants;
use crate::gateway_config::GatewayConfigs;

pub use inputs::Inputs;
pub use object::{Object, ObjectError};
pub use shadow::Warning;
pub use status::{
    AncestorStatus, Condition, ConditionStatus, ConditionType, Kind, ListenerStatus, ObjectKey,
    ObjectStatus, ParentReference, ParentStatus, Reason,
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
    /// What is served as configured, and hardly as meant; sorted.
    pub warnings: Vec<Warning>,
}

/// Translates all objects.
pub fn translate(inputs: &Inputs, settings: &Settings) -> Outcome {
    let config = config::read(inputs, settings);
    let grants = Grants::new(inputs);
    let configs = GatewayConfigs::new(inputs);
    let mut gateways = listener::gateways(inputs, &config, &configs, &grants);
    vips::assign(inputs, &config, settings, &mut gateways);
    conflict::find(&mut gateways);
    overlap::find(&mut gateways);
    let policies = Policies::new(inputs);
    let mut routing = routes::attach_all(inputs, &grants, &policies, &mut gateways);
    let snapshot = assemble::snapshot(&config, &gateways, &routing);
    let mut statuses = gateway_status::statuses(&gateways, &config.addressing, settings);
    statuses.extend(set_status::statuses(&gateways, &config.addressing));
    statuses.extend(policies.statuses(&routing.uses));
    statuses.append(&mut routing.statuses);
    statuses.extend(config.statuses);
    statuses.extend(configs.statuses());
    statuses.sort_by(|a, b| a.object.cmp(&b.object));
    let warnings = shadow::warnings(&snapshot);
    Outcome {
        snapshot,
        statuses,
        warnings,
    }
}
