//! The bookkeeping of one request, from its head to the end of its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use crate::connection::Connection;
use crate::metrics::{ListenerCells, MethodLabel};

/// Status of a request whose client went away before the answer; counted, never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request that is being answered: counts it when it ends, however it ends.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) connection: Rc<Connection>,
    pub(crate) listener: Option<Arc<ListenerCells>>,
    method: MethodLabel,
    pub(crate) status: StatusCode,
    started: Instant,
}

impl InFlight {
    pub(crate) fn new(connection: Rc<Connection>, method: MethodLabel) -> Self {
        connection.tracker.request_started();
        Self {
            connection,
            listener: None,
            method,
            status: StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or_default(),
            started: Instant::now(),
        }
    }
}

impl InFlight {
    /// When the request's head was complete.
    pub(crate) fn started(&self) -> tokio::time::Instant {
        self.started.into()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.connection.tracker.request_finished();
        match &self.listener {
            Some(cells) => cells.record(self.method, self.status, self.started.elapsed()),
            None => self.connection.worker.cells.requests_unrouted.increment(),
        }
    }
}
