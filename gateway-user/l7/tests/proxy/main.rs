//! The proxy from the outside: real sockets on loopback, real servers as pods.

mod client;
mod config;
mod pods;
mod rig;

mod filters;
mod forwarding;
mod lifecycle;
mod publishing;
mod resilience;
mod routing;
mod strictness;
mod tls;
mod transparent;
mod upgrades;
