//! What the requests of one client connection share.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use gateway_ir::ProxySettings;

use crate::exchange::Client;
use crate::proxy_header::{Ends, Introduction};
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
    /// Who made it and to where, as far as is known.
    pub(crate) ends: Ends,
    /// The connection counts as open until its last request is done, even after the engine has let go of it.
    pub(crate) _slot: Slot,
}

impl Connection {
    /// What endpoints are told of the connection by the PROXY protocol, if its port says so.
    pub(crate) fn introduction(&self, settings: &ProxySettings) -> Option<Introduction> {
        Introduction::of(self.ends, self.local.port(), settings)
    }
}
