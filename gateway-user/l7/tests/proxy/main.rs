//! The proxy from the outside: real sockets on loopback, real servers as pods.

mod client;
mod config;
mod identity;
mod pods;
mod rig;

mod authorization;
mod backends;
mod filters;
mod forwarding;
mod lifecycle;
mod policies;
mod publishing;
mod resilience;
mod routing;
mod sessions;
mod streams;
mod strictness;
mod tls;
mod transparent;
mod upgrades;
