//! Gates 1 and 2 as user space sees them: programs, links and maps that follow the snapshot.
//!
//! `plan` says what the maps should hold, `apply` writes the difference in a safe order, `bpf` is the only module that
//! names the BPF library. Nothing here knows Kubernetes, tokio or the other gates.

pub mod answers;
mod apply;
mod bpf;
pub mod datapath;
mod driver;
pub mod error;
pub mod hook;
mod plan;
mod root;
pub mod stats;

pub use answers::{Answers, ForeignClaim};
pub use bpf::{Program, Trial};
pub use datapath::{Datapath, Settings, uninstall};
pub use error::{ApplyError, AttachError, OpenError, RemoveError};
pub use gateway_common::SCHEMA_VERSION;
pub use gateway_common::counter::{Counter, Verdict};
pub use hook::Hook;
pub use stats::{Counters, ServiceCounters};
