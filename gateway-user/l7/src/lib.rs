//! Gate 3: the HTTP and TLS proxy.
//!
//! It is given [`gateway_ir::Snapshot`]s and serves the ports in them; what it could and could not program, it says in
//! [`gateway_ir::GateReport`]s. It knows nothing of Kubernetes and nothing of the other gates.
//!
//! From the outside in: [`Proxy`] is the handle; the coordinator's thread compiles snapshots into programs and opens
//! sockets; each worker is a thread that accepts (`worker`), speaks TLS and HTTP (`connection`), answers (`service`),
//! decides without IO (`request`, `exchange`, `program`) and forwards (`upstream`). Nothing of a request crosses workers.

#![forbid(unsafe_code)]

mod body;
mod clock;
mod connection;
mod coordinator;
mod exchange;
mod executor;
mod headers;
mod metrics;
mod program;
mod proxy;
mod random;
mod refusal;
mod request;
mod service;
mod sockets;
mod tracker;
mod upstream;
mod worker;

pub use proxy::{Listen, Proxy, Settings, StartError};
