//! A compiled snapshot to look requests up in without serving it: for tools and measurements.

use std::net::SocketAddr;

use gateway_ir::{RuleId, Snapshot};
use http::Request;

use crate::program::{Compiler, Program, Query, View};

/// A compiled snapshot.
#[derive(Debug)]
pub struct Lookup(Program);

impl Lookup {
    /// Compiles a snapshot; nothing when the system has no randomness for session tickets.
    pub fn new(snapshot: &Snapshot) -> Option<Self> {
        let mut compiler = Compiler::new().ok()?;
        let (program, _failures) = compiler.compile(snapshot);
        Some(Self(program))
    }

    /// The rule of a request to `host` (in lower case, without a port) that comes in at a local address.
    pub fn rule<B>(&self, local: SocketAddr, host: &str, request: &Request<B>) -> Option<&RuleId> {
        let view = View {
            method: request.method(),
            path: request.uri().path(),
            headers: request.headers(),
            query: Query::new(request.uri().query()),
        };
        let found = self.0.port(local)?.listener(host)?.find(host, &view)?;
        Some(&found.rule.id)
    }
}
