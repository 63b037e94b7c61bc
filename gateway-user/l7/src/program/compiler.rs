//! Compiles snapshots, and remembers the parts that the next one will probably have too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::{HostProgram, HttpPort, ListenerFailure, SessionKeys, Snapshot};

use super::host_index::HostIndex;
use super::routes::Routes;
use super::rule::Rules;
use super::stream::StreamRule;
use super::tls::{Inside, TlsCompiler};
use super::{Ending, Listener, Port, Program, Routing, Unroutable};
use crate::secrets::{Secrets, WallClock};
use crate::session::TokenKeys;
use crate::transport::EndpointKey;

/// Makes programs of snapshots.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// By the address of the host program, which the entry itself keeps alive.
    routes: HashMap<usize, (Arc<HostProgram>, Arc<Routes>)>,
    rules: Rules,
    tls: TlsCompiler,
    clock: WallClock,
    /// What sessions are sealed with while no keys are shared.
    drawn: Secrets,
    shared: Option<SessionKeys>,
}

/// One compilation in progress.
struct Pass<'a> {
    compiler: &'a mut Compiler,
    routes: HashMap<usize, (Arc<HostProgram>, Arc<Routes>)>,
    streams: Vec<Arc<StreamRule>>,
    program: Program,
    failures: Vec<ListenerFailure>,
}

impl Compiler {
    /// # Errors
    /// When there is no randomness for session tickets and tokens.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let (drawn, clock) = (Secrets::draw()?, WallClock::start());
        Ok(Self {
            routes: HashMap::new(),
            rules: Rules::new(TokenKeys::new(&drawn, clock)),
            tls: TlsCompiler::new(clock),
            clock,
            drawn,
            shared: None,
        })
    }

    /// Compiles a snapshot; listeners that cannot be served are named beside the program of the others.
    pub(crate) fn compile(&mut self, snapshot: &Snapshot) -> (Program, Vec<ListenerFailure>) {
        self.share(snapshot.proxy.session_keys.as_ref());
        let program = Program {
            generation: snapshot.generation(),
            settings: snapshot.proxy.clone(),
            deadline_min: snapshot.http.iter().map(deadline_min).min(),
            ..Program::default()
        };
        let mut pass = Pass {
            compiler: self,
            routes: HashMap::new(),
            streams: Vec::new(),
            program,
            failures: Vec::new(),
        };
        for port in &snapshot.http {
            pass.add_port(port);
        }
        let Pass {
            routes,
            streams,
            mut program,
            failures,
            ..
        } = pass;
        program.endpoints = endpoints(&routes, &streams);
        self.routes = routes;
        self.tls.forget_unused();
        self.rules.forget_unused();
        (program, failures)
    }

    /// Takes the keys that all nodes share into use, if they are others than before.
    fn share(&mut self, keys: Option<&SessionKeys>) {
        if self.shared.as_ref() == keys {
            return;
        }
        self.shared = keys.cloned();
        let secrets = keys.map(Secrets::shared);
        let tokens = TokenKeys::new(secrets.as_ref().unwrap_or(&self.drawn), self.clock);
        self.tls.set_secrets(secrets);
        self.rules.set_keys(tokens);
        self.routes.clear();
    }
}

impl Pass<'_> {
    fn add_port(&mut self, port: &HttpPort) {
        let mut listeners = Vec::new();
        let mut unroutable = Unroutable::Alert;
        for listener in &port.listeners {
            let index = self.program.listeners.len();
            self.program.listeners.push(listener.id.clone());
            let (routing, inside) = self.routing(listener);
            let tls = listener.tls.as_ref().and_then(|tls| {
                let config = self.compiler.tls.config(&listener.id, tls, inside);
                config.map_err(|failure| self.failures.push(failure)).ok()
            });
            if inside == Inside::Other {
                unroutable = Unroutable::Close;
            }
            let compiled = Listener {
                id: listener.id.clone(),
                index,
                routing,
                tls,
            };
            listeners.push((listener.hostname.clone(), Arc::new(compiled)));
        }
        let compiled = Arc::new(Port {
            protocol: port.protocol,
            settings: Arc::clone(&port.settings),
            listeners: HostIndex::new(listeners),
            unroutable,
        });
        let addresses = port.addresses.iter().map(|address| Some(*address));
        let all = port.addresses.is_empty().then_some(None);
        for address in addresses.chain(all) {
            let key = (address, port.port);
            self.program.ports.insert(key, Arc::clone(&compiled));
        }
    }

    fn routing(&mut self, listener: &gateway_ir::Listener) -> (Routing, Inside) {
        match &listener.routing {
            gateway_ir::Routing::Http(hosts) => {
                let hosts = hosts.iter();
                let hosts: Vec<_> = hosts
                    .map(|(pattern, host)| (pattern.clone(), self.routes(host)))
                    .collect();
                (Routing::Http(HostIndex::new(hosts)), Inside::Http)
            }
            gateway_ir::Routing::Stream(hosts) => {
                let hosts = hosts.iter().map(|(pattern, program)| {
                    let rule = Arc::new(StreamRule::new(
                        program,
                        &mut self.compiler.rules.transports,
                    ));
                    self.streams.push(Arc::clone(&rule));
                    (pattern.clone(), rule)
                });
                let routing = Routing::Stream {
                    hosts: HostIndex::new(hosts),
                    ending: match listener.tls {
                        Some(_) => Ending::Here,
                        None => Ending::Endpoint,
                    },
                };
                (routing, Inside::Other)
            }
        }
    }

    fn routes(&mut self, host: &Arc<HostProgram>) -> Arc<Routes> {
        let key = Arc::as_ptr(host).addr();
        let known = self
            .routes
            .get(&key)
            .or_else(|| self.compiler.routes.get(&key));
        let routes = match known {
            Some((_, routes)) => Arc::clone(routes),
            None => Arc::new(Routes::new(host, &mut self.compiler.rules)),
        };
        self.routes
            .insert(key, (Arc::clone(host), Arc::clone(&routes)));
        routes
    }
}

fn deadline_min(port: &HttpPort) -> Duration {
    let settings = &port.settings;
    settings
        .tls_handshake_timeout
        .min(settings.header_timeout)
        .min(settings.idle_timeout)
}

/// Every endpoint of the routes; sets that several routes share are read once.
fn endpoints(
    routes: &HashMap<usize, (Arc<HostProgram>, Arc<Routes>)>,
    streams: &[Arc<StreamRule>],
) -> HashSet<EndpointKey> {
    let mut seen = HashSet::new();
    routes
        .values()
        .flat_map(|(_, routes)| routes.destinations())
        .chain(streams.iter().flat_map(|rule| rule.destinations()))
        .map(|destination| (&destination.backend.endpoints, destination.transport.id()))
        .filter(|(set, transport)| seen.insert((Arc::as_ptr(set), *transport)))
        .flat_map(|(set, transport)| {
            let endpoints = set.endpoints.iter();
            endpoints.map(move |endpoint| (endpoint.address, transport))
        })
        .collect()
}

#[cfg(test)]
mod tests;
