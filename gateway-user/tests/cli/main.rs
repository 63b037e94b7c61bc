//! The command line from outside: the binary as it is built, its exit codes, what it prints and what it serves.
//!
//! Everything is on loopback, with ports that were free a moment before, and needs no root.

mod agent;
mod agreement;
mod backend;
mod bad_input;
mod check;
mod clients;
mod conf;
mod examples;
mod explain;
mod faults;
mod http;
mod identity;
mod monitoring;
mod mutations;
mod serve;
mod shutdown;
mod succession;
mod validity;
mod workers;
