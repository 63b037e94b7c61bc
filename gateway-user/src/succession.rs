//! The change of processes on one node: the new one starts beside the old one and takes over from it, so that no address
//! moves and no connection is refused.
//!
//! Both meet at a socket in a directory of the node. Who has the lock beside it serves the node; the other one gets ready,
//! asks, and is given in this order the maps and programs, then what gate 1 says for the node, the lock, and the listening
//! sockets. Whatever goes wrong before the last answer leaves everything with the first, and the second waits for its end.

mod line;
mod message;
mod place;
mod predecessor;
mod successor;

pub(crate) use self::line::Line;
pub(crate) use self::place::{Found, Place, Post};
pub(crate) use self::predecessor::{Call, Estate, State, serve};
pub(crate) use self::successor::{Inheritance, Predecessor};
