//! What the eBPF programs and the agent share: map keys and values, counters, checksums, hashing, Maglev.
//!
//! No allocation, no IO. Everything that both sides read is defined here once, with its size asserted beside it.

#![no_std]

pub mod addr;
pub mod announce;
pub mod checksum;
pub mod counter;
pub mod endpoint;
pub mod flow;
pub mod layout;
pub mod limits;
pub mod maglev;
pub mod service;
pub mod sieve;

/// The version of the maps' layout; part of the pins' path, so that two layouts never meet in one map.
///
/// Raise it with every change of a type, a capacity or a flag of a map.
pub const SCHEMA_VERSION: u32 = 4;
