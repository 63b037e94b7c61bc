//! From a backendRef to endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_ir::{
    Backend, BackendName, BackendProtocol, BackendTls, InvalidBackend, ObjectName, Target,
};

use crate::backend_policy::Policies;
use crate::conv::grant::Grants;
use crate::conv::service::{self, Lookup, Slices};
use crate::inputs::Inputs;
use crate::kinds::EndpointSlice;
use crate::model::{BackendRef, Problem};
use crate::status::{Kind, Reason};

/// What is known of Services: the endpoints of a port are found once and shared by all rules that name it.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    slices: Slices,
    /// By Service; most have one.
    known: BTreeMap<ObjectName, Vec<(Purpose, Arc<Backend>)>>,
}

impl Backends {
    /// Takes another form of an EndpointSlice, or none; gives the Services that it was and is of.
    pub(crate) fn set_slice(
        &mut self,
        name: &ObjectName,
        before: Option<&EndpointSlice>,
        after: Option<&Arc<EndpointSlice>>,
    ) -> impl Iterator<Item = ObjectName> {
        self.slices.set(name, before, after)
    }

    /// Forgets what is known of a Service.
    pub(crate) fn forget(&mut self, service: &ObjectName) {
        self.known.remove(service);
    }

    /// Forgets what is known of all Services.
    pub(crate) fn forget_all(&mut self) {
        self.known.clear();
    }
}

/// Resolves backendRefs.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    inputs: &'a Inputs,
    grants: &'a Grants,
    policies: &'a Policies,
    backends: &'a mut Backends,
}

/// The route that refers to a backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Referrer<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a ObjectName,
    pub(crate) purpose: Purpose,
}

/// What a backend is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// HTTP requests.
    Requests,
    /// gRPC calls.
    Calls,
    /// Connections out of TLS that has ended at the Gateway.
    Streams,
    /// TCP connections as they are.
    Connections,
    /// UDP datagrams as they are.
    Datagrams,
}

impl Purpose {
    fn transport(self) -> &'static str {
        match self {
            Self::Requests | Self::Calls | Self::Streams | Self::Connections => "TCP",
            Self::Datagrams => "UDP",
        }
    }

    /// Whether the proxy makes the connection, so that it can be the one that speaks TLS on it.
    fn is_proxied(self) -> bool {
        match self {
            Self::Requests | Self::Calls | Self::Streams => true,
            Self::Connections | Self::Datagrams => false,
        }
    }
}

/// A backendRef that leads nowhere.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) invalid: InvalidBackend,
    /// What the route has to say about it; none: another object says it.
    pub(crate) problem: Option<Problem>,
}

impl Refusal {
    fn new(invalid: InvalidBackend, reason: Reason, message: impl Into<String>) -> Self {
        let problem = Some(Problem::new(reason, message));
        Self { invalid, problem }
    }
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        inputs: &'a Inputs,
        grants: &'a Grants,
        policies: &'a Policies,
        backends: &'a mut Backends,
    ) -> Self {
        Self {
            inputs,
            grants,
            policies,
            backends,
        }
    }

    /// Finds the backend that a route refers to.
    pub(crate) fn resolve(
        &mut self,
        referrer: Referrer<'_>,
        backend: &BackendRef,
    ) -> Result<Arc<Backend>, Refusal> {
        let target = &backend.target;
        if !target.is_service() {
            let message = format!(
                "backendRef {} is a {}; it must be a Service",
                target.name, target.kind
            );
            return Err(Refusal::new(
                InvalidBackend::InvalidKind,
                Reason::InvalidKind,
                message,
            ));
        }
        // Before existence (conformance: UDPRouteInvalidCrossNamespaceBackendRef names a Service that is not there).
        if !self.grants.permit(referrer.kind, referrer.name, target) {
            let message = format!(
                "no ReferenceGrant lets {}s of namespace {} use Service {}",
                referrer.kind, referrer.name.namespace, target.name
            );
            return Err(Refusal::new(
                InvalidBackend::RefNotPermitted,
                Reason::RefNotPermitted,
                message,
            ));
        }
        self.service_port(&target.name, backend.port, referrer.purpose)
    }

    /// Finds a backend, or notes why there is none.
    pub(crate) fn target(
        &mut self,
        referrer: Referrer<'_>,
        backend: &BackendRef,
        unresolved: &mut Vec<Problem>,
    ) -> Target {
        match self.resolve(referrer, backend) {
            Ok(found) => Target::Backend(found),
            Err(refusal) => {
                unresolved.extend(refusal.problem);
                Target::Invalid(refusal.invalid)
            }
        }
    }

    fn service_port(
        &mut self,
        name: &ObjectName,
        port: Option<i32>,
        purpose: Purpose,
    ) -> Result<Arc<Backend>, Refusal> {
        let not_found = |message: String| {
            Refusal::new(InvalidBackend::NotFound, Reason::BackendNotFound, message)
        };
        let service = self.inputs.services.get(name);
        let service = service.ok_or_else(|| not_found(format!("there is no Service {name}")))?;
        let port = port.ok_or_else(|| not_found(format!("backendRef {name} needs a port")))?;
        let no_port = || not_found(format!("Service {name} has no port {port}"));
        let port = u16::try_from(port).map_err(|_too_large| no_port())?;
        let known = self.backends.known.get(name).into_iter().flatten();
        let mut known = known.filter(|(_, backend)| backend.name.port == port);
        if let Some((_, known)) = known.clone().find(|(of, _)| *of == purpose) {
            return Ok(Arc::clone(known));
        }
        let transport = purpose.transport();
        let found = match service::port(service, port, transport) {
            Lookup::Port(found) => found,
            Lookup::NoPort => return Err(no_port()),
            Lookup::ExternalName => {
                let message =
                    format!("Service {name} is of type ExternalName, which has no endpoints");
                return Err(Refusal::new(
                    InvalidBackend::Unsupported,
                    Reason::UnsupportedValue,
                    message,
                ));
            }
        };
        if found.protocol != transport {
            let message = format!(
                "port {port} of Service {name} is {}, not {transport}",
                found.protocol
            );
            return Err(Refusal::new(
                InvalidBackend::Unsupported,
                Reason::UnsupportedProtocol,
                message,
            ));
        }
        let tls = self.tls(name, &found, purpose)?;
        let shared = known.find(|(of, _)| of.transport() == transport);
        let endpoints = match shared {
            Some((_, backend)) => Arc::clone(&backend.endpoints),
            None => Arc::new(self.backends.slices.endpoints(name, &found)),
        };
        let made = Arc::new(Backend {
            name: BackendName {
                service: name.clone(),
                port,
            },
            endpoints,
            protocol: protocol(&found, purpose),
            tls,
        });
        let known = self.backends.known.entry(name.clone()).or_default();
        known.push((purpose, Arc::clone(&made)));
        Ok(made)
    }

    /// The TLS of a port; none: clear text, or what the client has made itself.
    fn tls(
        &self,
        service: &ObjectName,
        port: &service::Port,
        purpose: Purpose,
    ) -> Result<Option<Arc<BackendTls>>, Refusal> {
        if !purpose.is_proxied() {
            return Ok(None);
        }
        match self.policies.find(service, &port.name) {
            Some(Some(tls)) => Ok(Some(tls)),
            Some(None) => Err(Refusal {
                invalid: InvalidBackend::InvalidTls,
                problem: None,
            }),
            None => match port.app_protocol.as_deref().filter(|it| needs_tls(it)) {
                None => Ok(None),
                Some(protocol) => {
                    let message = format!(
                        "a port of Service {service} is {protocol}: it needs a BackendTLSPolicy"
                    );
                    Err(Refusal::new(
                        InvalidBackend::Unsupported,
                        Reason::UnsupportedProtocol,
                        message,
                    ))
                }
            },
        }
    }
}

/// Whether endpoints would not understand clear text (KEP-3726, IANA's service names). Whom to trust is for a policy to
/// say.
fn needs_tls(protocol: &str) -> bool {
    protocol == "kubernetes.io/wss" || protocol.eq_ignore_ascii_case("https")
}

/// What the endpoints of a port speak (Gateway API: GEP-1911). Protocols that say nothing new about HTTP change nothing.
fn protocol(port: &service::Port, purpose: Purpose) -> BackendProtocol {
    let is_h2c = port.app_protocol.as_deref() == Some("kubernetes.io/h2c");
    match purpose {
        Purpose::Calls => BackendProtocol::Http2,
        Purpose::Requests if is_h2c => BackendProtocol::Http2,
        Purpose::Requests | Purpose::Streams | Purpose::Connections | Purpose::Datagrams => {
            BackendProtocol::Http
        }
    }
}
