//! What the requests of one client connection share.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::Client;
use crate::tracker::Tracker;
use crate::worker::{Slot, Worker};

/// What the requests of a connection share.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) tracker: Arc<Tracker>,
    /// Where the client connected to: names the port.
    pub(crate) local: SocketAddr,
    pub(crate) client: Client,
    /// The connection counts as open until its last request is done, even after the engine has let go of it.
    pub(crate) _slot: Slot,
}
