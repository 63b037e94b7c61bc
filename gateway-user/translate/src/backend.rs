//! From a backendRef to endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_ir::{Backend, BackendName, InvalidBackend, ObjectName};

use crate::conv::grant::Grants;
use crate::conv::service::{self, Lookup, Slices};
use crate::inputs::Inputs;
use crate::model::{BackendRef, Problem};
use crate::status::{Kind, Reason};

/// Resolves backendRefs; one backend per Service port and protocol, shared by all rules that name it.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    inputs: &'a Inputs,
    grants: &'a Grants,
    slices: Slices<'a>,
    known: BTreeMap<(BackendName, &'static str), Arc<Backend>>,
}

/// A backendRef that leads nowhere.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) invalid: InvalidBackend,
    pub(crate) problem: Problem,
}

impl Refusal {
    fn new(invalid: InvalidBackend, reason: Reason, message: impl Into<String>) -> Self {
        let problem = Problem::new(reason, message);
        Self { invalid, problem }
    }
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(inputs: &'a Inputs, grants: &'a Grants) -> Self {
        Self {
            inputs,
            grants,
            slices: Slices::new(inputs),
            known: BTreeMap::new(),
        }
    }

    /// Finds the backend that a route of a kind refers to.
    pub(crate) fn resolve(
        &mut self,
        kind: Kind,
        route: &ObjectName,
        backend: &BackendRef,
    ) -> Result<Arc<Backend>, Refusal> {
        let target = &backend.target;
        if !target.group.is_empty() || target.kind != "Service" {
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
        if !self.grants.permit(kind, route, target) {
            let message = format!(
                "no ReferenceGrant lets {kind}s of namespace {} use Service {}",
                route.namespace, target.name
            );
            return Err(Refusal::new(
                InvalidBackend::RefNotPermitted,
                Reason::RefNotPermitted,
                message,
            ));
        }
        let protocol = if kind == Kind::UdpRoute { "UDP" } else { "TCP" };
        self.service_port(&target.name, backend.port, protocol, kind)
    }

    fn service_port(
        &mut self,
        name: &ObjectName,
        port: Option<i32>,
        protocol: &'static str,
        kind: Kind,
    ) -> Result<Arc<Backend>, Refusal> {
        let not_found = |message: String| {
            Refusal::new(InvalidBackend::NotFound, Reason::BackendNotFound, message)
        };
        let service = self.inputs.services.get(name);
        let service = service.ok_or_else(|| not_found(format!("there is no Service {name}")))?;
        let port = port.ok_or_else(|| not_found(format!("backendRef {name} needs a port")))?;
        let no_port = || not_found(format!("Service {name} has no port {port}"));
        let port = u16::try_from(port).map_err(|_too_large| no_port())?;
        let found = match service::port(service, port, protocol) {
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
        let unserved = |what: String| {
            let message = format!("port {port} of Service {name} {what}");
            Refusal::new(
                InvalidBackend::Unsupported,
                Reason::UnsupportedProtocol,
                message,
            )
        };
        if found.protocol != protocol {
            return Err(unserved(format!("is {}, not {protocol}", found.protocol)));
        }
        if let (Kind::HttpRoute, Some(spoken)) = (kind, unserved_protocol(&found)) {
            return Err(unserved(format!("speaks {spoken}, which is not served")));
        }
        let backend = BackendName {
            service: name.clone(),
            port,
        };
        let slices = &self.slices;
        let entry = self
            .known
            .entry((backend.clone(), protocol))
            .or_insert_with(|| {
                Arc::new(Backend {
                    endpoints: Arc::new(slices.endpoints(name, &found)),
                    name: backend,
                })
            });
        Ok(Arc::clone(entry))
    }
}

/// Application protocols that plain HTTP/1.1 would speak past (KEP-3726).
fn unserved_protocol(port: &service::Port) -> Option<&str> {
    let spoken = port.app_protocol.as_deref()?;
    matches!(spoken, "kubernetes.io/h2c" | "kubernetes.io/wss").then_some(spoken)
}
