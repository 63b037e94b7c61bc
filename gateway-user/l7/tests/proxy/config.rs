//! Builders of snapshots that read as sentences.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_ir::{
    Backend, BackendName, BackendProtocol, Certificate, ClientValidation, Endpoint, EndpointSet,
    Entry, Filter, HeaderEdits, HeaderMatch, HostPattern, HostProgram, HttpPort, InvalidBackend,
    Listener, ListenerId, ListenerTls, Match, ObjectName, PathMatch, PortProtocol, PrivateKey,
    ProxySettings, Retry, RouteKind, RouteName, Routing, Rule, RuleId, SessionPersistence,
    SharedMap, Snapshot, StreamProgram, Target, Timeouts, ValueMatch, WeightedBackend,
};
use http::{HeaderName, HeaderValue};

/// A snapshot with one port.
pub(crate) fn site(
    address: SocketAddr,
    protocol: PortProtocol,
    listeners: Vec<Listener>,
) -> Snapshot {
    Snapshot {
        http: vec![port(address, protocol, listeners)],
        ..Snapshot::default()
    }
}

pub(crate) fn port(
    address: SocketAddr,
    protocol: PortProtocol,
    listeners: Vec<Listener>,
) -> HttpPort {
    HttpPort {
        addresses: vec![address.ip()],
        port: address.port(),
        protocol,
        listeners,
        settings: Arc::default(),
    }
}

/// Changes the settings of every port.
pub(crate) fn set(snapshot: &mut Snapshot, change: impl Fn(&mut ProxySettings)) {
    for port in &mut snapshot.http {
        change(Arc::make_mut(&mut port.settings));
    }
}

/// One HTTP listener for every host with these rules.
pub(crate) fn serving(address: SocketAddr, rules: Vec<RuleBuilder>) -> Snapshot {
    let http = listener("http", "*").host("*", rules).build();
    site(address, PortProtocol::Http, vec![http])
}

/// The commonest site: one HTTP listener for every host, all paths to these endpoints.
pub(crate) fn plain(address: SocketAddr, endpoints: &[SocketAddr]) -> Snapshot {
    serving(address, vec![rule("/").to("pods", 1, endpoints)])
}

pub(crate) fn listener(section: &str, hostname: &str) -> ListenerBuilder {
    ListenerBuilder(Listener {
        id: ListenerId {
            gateway: ObjectName::new("default", "gateway"),
            section: section.to_owned(),
        },
        hostname: pattern(hostname),
        tls: None,
        routing: Routing::Http(SharedMap::new()),
    })
}

pub(crate) struct ListenerBuilder(Listener);

impl ListenerBuilder {
    pub(crate) fn host(mut self, hostname: &str, rules: Vec<RuleBuilder>) -> Self {
        let entries = rules
            .into_iter()
            .enumerate()
            .map(|(index, rule)| rule.entry(index));
        let program = Arc::new(HostProgram::new(entries));
        match &mut self.0.routing {
            Routing::Http(hosts) => hosts.insert(pattern(hostname), program),
            Routing::Stream(_) => panic!("a listener for requests"),
        };
        self
    }

    pub(crate) fn certificate(mut self, certificate: &Arc<Certificate>) -> Self {
        let tls = self.0.tls.get_or_insert_with(|| ListenerTls {
            certificates: Vec::new(),
            clients: None,
        });
        tls.certificates.push(Arc::clone(certificate));
        self
    }

    /// What is asked of clients.
    pub(crate) fn clients(mut self, clients: ClientValidation) -> Self {
        let tls = self.0.tls.as_mut().expect("a listener with a certificate");
        tls.clients = Some(clients);
        self
    }

    /// Connections for a name go to a backend, and nothing is HTTP.
    pub(crate) fn stream(mut self, hostname: &str, target: Target) -> Self {
        let program = StreamProgram {
            id: RuleId {
                route: RouteName {
                    kind: "TLSRoute".to_owned(),
                    object: ObjectName::new("default", "stream"),
                },
                index: 0,
                name: None,
            },
            backends: vec![WeightedBackend {
                weight: 1,
                target,
                filters: Vec::new(),
            }],
        };
        let hosts = [(pattern(hostname), Arc::new(program))];
        match &mut self.0.routing {
            Routing::Stream(known) => known.extend(hosts),
            Routing::Http(_) => self.0.routing = Routing::Stream(hosts.into_iter().collect()),
        }
        self
    }

    pub(crate) fn build(self) -> Listener {
        self.0
    }
}

/// A rule for a path prefix.
pub(crate) fn rule(prefix: &str) -> RuleBuilder {
    RuleBuilder {
        matches: Match {
            path: PathMatch::Prefix(prefix.trim_end_matches('/').to_owned()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        },
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    }
}

pub(crate) struct RuleBuilder {
    matches: Match,
    filters: Vec<Filter>,
    backends: Vec<WeightedBackend>,
    timeouts: Timeouts,
    retry: Option<Retry>,
    persistence: Option<SessionPersistence>,
}

/// A backend of these endpoints, spoken to with HTTP/1.1 in clear text.
pub(crate) fn backend(service: &str, endpoints: &[SocketAddr]) -> Backend {
    let endpoints = endpoints.iter().map(|address| Endpoint {
        address: *address,
        node: None,
    });
    Backend {
        name: BackendName {
            service: ObjectName::new("default", service),
            port: 80,
        },
        endpoints: Arc::new(EndpointSet {
            endpoints: endpoints.collect(),
            ..EndpointSet::default()
        }),
        protocol: BackendProtocol::Http,
        tls: None,
    }
}

impl RuleBuilder {
    pub(crate) fn when_header(mut self, name: &'static str, value: &str) -> Self {
        self.matches.headers.push(HeaderMatch {
            name: HeaderName::from_static(name),
            value: ValueMatch::Exact(value.to_owned()),
        });
        self
    }

    pub(crate) fn edit(self, edits: HeaderEdits) -> Self {
        self.filter(Filter::RequestHeaderModifier(edits))
    }

    /// A filter of the rule.
    pub(crate) fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// A filter of the last backendRef.
    pub(crate) fn backend_filter(mut self, filter: Filter) -> Self {
        let last = self.backends.last_mut().expect("a backend");
        last.filters.push(filter);
        self
    }

    pub(crate) fn to(self, service: &str, weight: u32, endpoints: &[SocketAddr]) -> Self {
        self.backed_by(weight, backend(service, endpoints))
    }

    pub(crate) fn backed_by(mut self, weight: u32, backend: Backend) -> Self {
        self.backends.push(WeightedBackend {
            weight,
            target: Target::Backend(Arc::new(backend)),
            filters: Vec::new(),
        });
        self
    }

    pub(crate) fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    pub(crate) fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    pub(crate) fn persistence(mut self, persistence: SessionPersistence) -> Self {
        self.persistence = Some(persistence);
        self
    }

    pub(crate) fn nowhere(mut self, weight: u32) -> Self {
        self.backends.push(WeightedBackend {
            weight,
            target: Target::Invalid(InvalidBackend::NotFound),
            filters: Vec::new(),
        });
        self
    }

    fn entry(self, index: usize) -> Entry {
        let id = RuleId {
            route: RouteName {
                kind: "HTTPRoute".to_owned(),
                object: ObjectName::new("default", "route"),
            },
            index,
            name: None,
        };
        let rule = Arc::new(Rule {
            id,
            filters: self.filters,
            backends: self.backends,
            kind: RouteKind::Http,
            timeouts: self.timeouts,
            retry: self.retry,
            persistence: self.persistence,
        });
        Entry::new(self.matches, None, rule, 0)
    }
}

pub(crate) fn header(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )
}

/// A self-signed certificate for these names.
pub(crate) fn certificate(names: &[&str]) -> Arc<Certificate> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names.clone()).expect("a certificate");
    Arc::new(Certificate {
        secret: ObjectName::new("default", "cert"),
        chain: vec![made.cert.der().to_vec()],
        key: PrivateKey::new(made.signing_key.serialize_der()),
        names,
    })
}

fn pattern(text: &str) -> HostPattern {
    HostPattern::try_from(text.to_owned()).expect("a host pattern")
}
