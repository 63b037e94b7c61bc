//! A compiled rule for connections that are not HTTP.

use gateway_ir::{RuleId, StreamProgram, Target};

use super::weighted::Weighted;
use crate::refusal::Refusal;
use crate::transport::{Destination, Transports};

/// Where the connections for one name go.
#[derive(Debug)]
pub(crate) struct StreamRule {
    /// Where it came from, for logs.
    pub(crate) id: RuleId,
    pub(crate) shares: Weighted<Result<Destination, Refusal>>,
}

impl StreamRule {
    pub(super) fn new(program: &StreamProgram, transports: &mut Transports) -> Self {
        let shares = program.backends.iter().map(|backend| {
            let destination = match &backend.target {
                Target::Backend(backend) => transports.destination(backend),
                Target::Invalid(_) => Err(Refusal::NoBackend),
            };
            (backend.weight, destination)
        });
        Self {
            id: program.id.clone(),
            shares: Weighted::new(shares),
        }
    }

    /// Everywhere that its connections may go.
    pub(super) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.shares.iter().filter_map(|share| share.as_ref().ok())
    }
}
