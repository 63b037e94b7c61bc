//! Gate 1 without the wire: decides which addresses this node answers for, until when, and what it tells its neighbours.
//!
//! A state machine: it is told what exists ([`Announcer::update`]) and what time it is, and gives back
//! [`Command`]s. It opens no socket, reads no clock and knows nothing of BPF; the answers themselves are given in the
//! kernel, by an entry that carries the deadline that is decided here.

#![forbid(unsafe_code)]

mod announcer;
pub mod arp;
mod checksum;
mod claim;
mod command;
mod conflict;
pub mod icmp;
pub mod icmpv6;
pub mod membership;
pub mod ndp;
mod ownership;
mod refresh;
mod survey;
pub mod wire;

pub use announcer::{Announcer, Caution, Legacy, Part, Settings, View};
pub use command::Command;
pub use conflict::{Conflict, ForeignClaim};
pub use ownership::{Decision, Ownership, Reason};
pub use survey::{Answer, Seen};
