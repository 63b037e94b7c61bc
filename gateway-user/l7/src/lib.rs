//! Gate 3: the HTTP and TLS proxy.
//!
//! It is given [`gateway_ir::Snapshot`]s and serves the ports in them; what it could and could not program, it says in
//! [`gateway_ir::GateReport`]s. It knows nothing of Kubernetes and nothing of the other gates.

#![forbid(unsafe_code)]

mod proxy;

pub use proxy::{Listen, Proxy, Settings, StartError};
