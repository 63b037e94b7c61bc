//! The control plane: objects come in from a source, one immutable publication goes out.
//!
//! A [`source`] reads objects and hands complete [`Content`]s to the [`Publisher`]; the publisher translates them and
//! keeps the newest [`Published`] in a watch channel. A [`Cluster`] is an API server as a source, whose [`leader`] has
//! the statuses written. [`status`] puts what the gates reported over the conditions that
//! the translation promised. Nothing here knows sockets, BPF or the command line.

#![forbid(unsafe_code)]

pub mod cluster;
pub mod events;
pub mod features;
pub mod infrastructure;
pub mod leader;
mod membership;
mod pace;
pub mod peer;
pub mod problem;
pub mod publish;
pub mod seen;
pub mod seen_status;
pub mod source;
pub mod status;

pub use cluster::Cluster;
pub use peer::{Cordon, MembershipKey, Peer};
pub use problem::{Problem, Severity};
pub use publish::{Content, Published, Publisher};
pub use source::folder::Folder;
pub use source::watch::FolderSource;
