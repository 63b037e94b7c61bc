//! A compiled snapshot to look requests up in without serving it: for tools and measurements.

use std::net::SocketAddr;

use gateway_ir::{RuleId, Snapshot};
use http::Request;

use crate::program::{Compiler, Program, Query, View};

/// A compiled snapshot, with what the compiler remembers of it.
#[derive(Debug)]
pub struct Lookup {
    compiler: Compiler,
    program: Program,
}

impl Lookup {
    /// Compiles a snapshot; nothing when the system has no randomness for session tickets.
    pub fn new(snapshot: &Snapshot) -> Option<Self> {
        let mut lookup = Self {
            compiler: Compiler::new().ok()?,
            program: Program::default(),
        };
        lookup.update(snapshot);
        Some(lookup)
    }

    /// Compiles another snapshot in place of the one before, as the running proxy does.
    pub fn update(&mut self, snapshot: &Snapshot) {
        let (program, _failures) = self.compiler.compile(snapshot);
        self.compiler.list_endpoints(&program);
        self.program = program;
    }

    /// The rule of a request to `host` (in lower case, without a port) that comes in at a local address.
    pub fn rule<B>(&self, local: SocketAddr, host: &str, request: &Request<B>) -> Option<&RuleId> {
        let view = View {
            method: request.method(),
            path: request.uri().path(),
            headers: request.headers(),
            query: Query::new(request.uri().query()),
        };
        let port = self.program.port(local)?;
        let found = port.listener(host)?.find(host, &view)?;
        Some(found.rule.id())
    }
}
