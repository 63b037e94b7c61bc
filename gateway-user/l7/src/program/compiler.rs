//! Compiles snapshots, and remembers the parts that the next one will probably have too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::{
    HostPattern, HostProgram, HttpPort, ListenerFailure, ListenerId, SessionKeys, SharedMap,
    Snapshot, StreamProgram,
};

use super::candidates::{Candidate, Edits};
use super::host_index::HostIndex;
use super::reach::Reach;
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
    hosts: BTreeMap<ListenerId, Hosts<HostProgram, Routes>>,
    streams: BTreeMap<ListenerId, Hosts<StreamProgram, StreamRule>>,
    rules: Rules,
    reach: Reach,
    tls: TlsCompiler,
    clock: WallClock,
    /// What sessions are sealed with while no keys are shared.
    drawn: Secrets,
    shared: Option<SessionKeys>,
}

/// What the hosts of a listener came to: what differs next time is compiled then.
#[derive(Debug)]
struct Hosts<S, C> {
    source: SharedMap<HostPattern, Arc<S>>,
    index: HostIndex<Arc<C>>,
}

impl<S, C> Default for Hosts<S, C> {
    fn default() -> Self {
        Self {
            source: SharedMap::default(),
            index: HostIndex::default(),
        }
    }
}

/// One compilation in progress.
struct Pass<'a> {
    compiler: &'a mut Compiler,
    hosts: BTreeMap<ListenerId, Hosts<HostProgram, Routes>>,
    streams: BTreeMap<ListenerId, Hosts<StreamProgram, StreamRule>>,
    program: Program,
    failures: Vec<ListenerFailure>,
}

impl Compiler {
    /// # Errors
    /// When there is no randomness for session tickets and tokens.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let (drawn, clock) = (Secrets::draw()?, WallClock::start());
        Ok(Self {
            hosts: BTreeMap::new(),
            streams: BTreeMap::new(),
            rules: Rules::new(TokenKeys::new(&drawn, clock)),
            reach: Reach::default(),
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
            hosts: BTreeMap::new(),
            streams: BTreeMap::new(),
            program,
            failures: Vec::new(),
        };
        for port in &snapshot.http {
            pass.add_port(port);
        }
        let Pass {
            hosts,
            streams,
            program,
            failures,
            ..
        } = pass;
        self.let_go();
        self.hosts = hosts;
        for hosts in std::mem::replace(&mut self.streams, streams).into_values() {
            drop(self.stream_rules(hosts, &SharedMap::default()));
        }
        // Not before: a rule may only have moved.
        self.rules.forget_unused(&mut self.reach);
        self.reach.forget_unused();
        self.tls.forget_unused();
        (program, failures)
    }

    /// Lists the endpoints of the newest program, when nobody waits for it any more.
    pub(crate) fn list_endpoints(&mut self, program: &Program) {
        let list = self.reach.list();
        program.endpoints.get_or_init(|| list);
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
        self.let_go();
        // Before the transports: they stay what connections to endpoints are kept by.
        self.rules.forget_unused(&mut self.reach);
        self.rules.set_keys(tokens);
    }

    /// Lets go of the hosts of listeners that are gone, or are to be compiled again.
    fn let_go(&mut self) {
        for hosts in std::mem::take(&mut self.hosts).into_values() {
            drop(self.routes(hosts, &SharedMap::default()));
        }
    }

    /// The routing of the hosts of a listener: the one before, with what differs.
    fn routes(
        &mut self,
        former: Hosts<HostProgram, Routes>,
        source: &SharedMap<HostPattern, Arc<HostProgram>>,
    ) -> Hosts<HostProgram, Routes> {
        let nothing = HostProgram::default();
        let mut index = former.index;
        for (pattern, old, new) in former.source.differences(source, Arc::ptr_eq) {
            let mut edits = Edits::default();
            let old = old.map_or(&nothing, |it| &**it);
            for (gone, come) in old.differences(new.map_or(&nothing, |it| &**it)) {
                if let Some(entry) = come {
                    let rule = self.rules.take(&entry.rule, &mut self.reach);
                    edits.new.push(Candidate::new(entry, rule));
                }
                if let Some(entry) = gone {
                    self.rules.give_back(&entry.rule);
                    edits.gone.push(Arc::clone(entry));
                }
            }
            match new {
                Some(_) => {
                    let known = index.get(pattern).map(|routes| Routes::clone(routes));
                    let mut routes = known.unwrap_or_default();
                    routes.edit(edits);
                    index.set(pattern.clone(), Arc::new(routes));
                }
                None => index.remove(pattern),
            }
        }
        Hosts {
            source: source.clone(),
            index,
        }
    }

    /// The same of connections.
    fn stream_rules(
        &mut self,
        former: Hosts<StreamProgram, StreamRule>,
        source: &SharedMap<HostPattern, Arc<StreamProgram>>,
    ) -> Hosts<StreamProgram, StreamRule> {
        let mut index = former.index;
        for (pattern, _, new) in former.source.differences(source, Arc::ptr_eq) {
            let old = index.get(pattern).map(Arc::clone);
            match new {
                Some(program) => {
                    let rule = StreamRule::new(program, &mut self.reach.transports);
                    rule.destinations().for_each(|it| self.reach.add(it));
                    index.set(pattern.clone(), Arc::new(rule));
                }
                None => index.remove(pattern),
            }
            let gone = old.iter().flat_map(|rule| rule.destinations());
            gone.for_each(|destination| self.reach.remove(destination));
        }
        Hosts {
            source: source.clone(),
            index,
        }
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
        let id = &listener.id;
        match &listener.routing {
            gateway_ir::Routing::Http(source) => {
                let former = self.compiler.hosts.remove(id).unwrap_or_default();
                let hosts = self.compiler.routes(former, source);
                let index = hosts.index.clone();
                self.hosts.insert(id.clone(), hosts);
                (Routing::Http(index), Inside::Http)
            }
            gateway_ir::Routing::Stream(source) => {
                let former = self.compiler.streams.remove(id).unwrap_or_default();
                let hosts = self.compiler.stream_rules(former, source);
                let routing = Routing::Stream {
                    hosts: hosts.index.clone(),
                    ending: match listener.tls {
                        Some(_) => Ending::Here,
                        None => Ending::Endpoint,
                    },
                };
                self.streams.insert(id.clone(), hosts);
                (routing, Inside::Other)
            }
        }
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
