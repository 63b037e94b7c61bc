//! The proxy from the outside: real sockets on loopback, real servers as pods.

mod client;
mod config;
mod pods;
mod rig;

mod backends;
mod filters;
mod forwarding;
mod lifecycle;
mod policies;
mod publishing;
mod resilience;
mod routing;
mod strictness;
mod tls;
mod transparent;
mod upgrades;
