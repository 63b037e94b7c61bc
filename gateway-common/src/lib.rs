//! What the eBPF programs and the agent share: map keys and values, counters, checksums, Maglev.
//!
//! No allocation, no IO. Everything that both sides read is defined here once, with its size asserted.

#![no_std]

pub mod counter;
