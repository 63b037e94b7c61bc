//! Compiles snapshots, and remembers the parts that the next one will probably have too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::{
    HostPattern, HostProgram, HttpPort, ListenerFailure, ListenerId, SessionKeys, SharedMap,
    Snapshot,
};

use super::host_index::HostIndex;
use super::routes::Routes;
use super::rule::Rules;
use super::stream::StreamRule;
use super::tls::{Inside, TlsCompiler};
use super::{Ending, Listener, Port, Program, Routing, Unroutable};
use crate::secrets::{Secrets, WallClock};
use crate::session::TokenKeys;

/// Makes programs of snapshots.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// By the address of the host program, which the entry itself keeps alive.
    routes: HashMap<usize, (Arc<HostProgram>, Arc<Routes>)>,
    hosts: HashMap<ListenerId, Hosts>,
    rules: Rules,
    tls: TlsCompiler,
    clock: WallClock,
    /// What sessions are sealed with while no keys are shared.
    drawn: Secrets,
    shared: Option<SessionKeys>,
}

/// What the hosts of a listener came to: what differs next time is compiled then.
#[derive(Debug, Default)]
struct Hosts {
    source: SharedMap<HostPattern, Arc<HostProgram>>,
    index: HostIndex<Arc<Routes>>,
}

/// One compilation in progress.
struct Pass<'a> {
    compiler: &'a mut Compiler,
    hosts: HashMap<ListenerId, Hosts>,
    listeners: Vec<Arc<Listener>>,
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
            hosts: HashMap::new(),
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
            hosts: HashMap::new(),
            listeners: Vec::new(),
            program,
            failures: Vec::new(),
        };
        for port in &snapshot.http {
            pass.add_port(port);
        }
        let Pass {
            hosts,
            listeners,
            mut program,
            failures,
            ..
        } = pass;
        program.serving = listeners;
        self.hosts = hosts;
        self.routes
            .retain(|_, (_, routes)| Arc::strong_count(routes) > 1);
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
        self.hosts.clear();
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
            let compiled = Arc::new(compiled);
            self.listeners.push(Arc::clone(&compiled));
            listeners.push((listener.hostname.clone(), compiled));
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
                (Routing::Http(self.hosts(&listener.id, hosts)), Inside::Http)
            }
            gateway_ir::Routing::Stream(hosts) => {
                let hosts = hosts.iter().map(|(pattern, program)| {
                    let rule = Arc::new(StreamRule::new(
                        program,
                        &mut self.compiler.rules.transports,
                    ));
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

    /// The index over the hosts of a listener: the one before, with what differs.
    fn hosts(
        &mut self,
        listener: &ListenerId,
        source: &SharedMap<HostPattern, Arc<HostProgram>>,
    ) -> HostIndex<Arc<Routes>> {
        let last = self.compiler.hosts.remove(listener).unwrap_or_default();
        let mut index = last.index;
        for (pattern, _, host) in last.source.differences(source, Arc::ptr_eq) {
            match host {
                Some(host) => index.set(pattern.clone(), self.routes(host)),
                None => index.remove(pattern),
            }
        }
        let hosts = Hosts {
            source: source.clone(),
            index: index.clone(),
        };
        self.hosts.insert(listener.clone(), hosts);
        index
    }

    fn routes(&mut self, host: &Arc<HostProgram>) -> Arc<Routes> {
        let key = Arc::as_ptr(host).addr();
        if let Some((_, routes)) = self.compiler.routes.get(&key) {
            return Arc::clone(routes);
        }
        let routes = Arc::new(Routes::new(host, &mut self.compiler.rules));
        let known = (Arc::clone(host), Arc::clone(&routes));
        self.compiler.routes.insert(key, known);
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

#[cfg(test)]
mod tests;
