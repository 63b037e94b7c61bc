//! Where objects come from. A source ends in calls of [`Publisher::content`](crate::Publisher::content) with
//! everything that it holds; what is behind the publisher does not know which source it was.

pub mod document;
pub mod folder;
pub mod kube;
pub mod watch;
