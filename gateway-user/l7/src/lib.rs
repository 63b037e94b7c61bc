//! Gate 3: the HTTP and TLS proxy.
//!
//! It is given [`gateway_ir::Snapshot`]s and serves the ports in them; what it could and could not program, it says in
//! [`gateway_ir::GateReport`]s. It knows nothing of Kubernetes and nothing of the other gates.
//!
//! From the outside in: [`Proxy`] is the handle; the coordinator's thread compiles snapshots into programs and opens
//! sockets; each worker is a thread (`worker_thread`) that accepts, speaks TLS and HTTP (`serve`), answers (`service`),
//! decides without IO (`request`, `exchange`, `program`, `filter`) and forwards (`upstream`). Nothing of a request crosses workers.

#![forbid(unsafe_code)]

mod accept;
mod arrival;
mod auth;
mod body;
mod clock;
mod connection;
mod coordinator;
mod exchange;
mod executor;
mod explain;
mod filter;
mod forwarded;
#[cfg(test)]
mod fuzz;
mod gate;
mod grpc_web;
mod headers;
mod hello;
mod in_flight;
mod lookup;
mod metrics;
mod mirror;
mod program;
mod proxy;
mod proxy_header;
mod random;
mod refusal;
mod request;
mod secrets;
mod serve;
mod service;
mod session;
mod sockets;
mod stream;
mod tracker;
mod transport;
mod tunnel;
mod upstream;
mod worker;
mod worker_thread;

pub use explain::{
    Answer, Candidate, Choice, Ending, Explainer, Explanation, Fate, Handshake, Limits, Lost,
    Outcome, PortExplanation, Question, Refused, Share,
};
pub use lookup::Lookup;
pub use proxy::{Proxy, Settings, StartError};
pub use sockets::Listen;
