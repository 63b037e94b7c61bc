//! Services and EndpointSlices.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_crds::endpoint_slice::{self, EndpointPort};
use gateway_crds::service::ServicePort;
use gateway_ir::{Endpoint, EndpointSet, NodeName, ObjectName};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::kinds::{EndpointSlice, Service};

/// The label that ties an EndpointSlice to its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The EndpointSlices, each behind its Service.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    by_service: BTreeMap<(ObjectName, ObjectName), Arc<EndpointSlice>>,
}

impl Slices {
    /// Takes another form of a slice, or none; gives the Services that it was and is of.
    pub(crate) fn set(
        &mut self,
        name: &ObjectName,
        before: Option<&EndpointSlice>,
        after: Option<&Arc<EndpointSlice>>,
    ) -> impl Iterator<Item = ObjectName> {
        let was = before.and_then(|slice| service_of(name, slice));
        let is = after.and_then(|slice| service_of(name, slice));
        if let Some(service) = &was {
            self.by_service.remove(&(service.clone(), name.clone()));
        }
        if let (Some(service), Some(slice)) = (&is, after) {
            let key = (service.clone(), name.clone());
            self.by_service.insert(key, Arc::clone(slice));
        }
        was.into_iter().chain(is)
    }

    /// The endpoints behind a Service's port: those of all its slices, each once.
    pub(crate) fn endpoints(&self, service: &ObjectName, port: &Port) -> EndpointSet {
        let first = (service.clone(), ObjectName::new("", ""));
        let slices = self.by_service.range(first..);
        let slices = slices.take_while(|((of, _), _)| of == service);
        // The same address twice (a slice being rewritten, a pod that moves between slices) is one endpoint: the state
        // with the most use wins, and in it the one that names its node, which is the last in order.
        let mut found: BTreeMap<SocketAddr, (Condition, Endpoint)> = BTreeMap::new();
        for (condition, endpoint) in slices.flat_map(|(_, it)| endpoints(it, port)) {
            let one = (condition, endpoint);
            match found.entry(one.1.address) {
                Entry::Vacant(free) => {
                    free.insert(one);
                }
                Entry::Occupied(mut known) if *known.get() < one => {
                    known.insert(one);
                }
                Entry::Occupied(_) => {}
            }
        }
        let mut set = EndpointSet::default();
        for (condition, endpoint) in found.into_values() {
            match condition {
                Condition::Ready => set.endpoints.push(endpoint),
                Condition::Ending => set.ending.push(endpoint),
                Condition::Unready => set.unready.push(endpoint),
            }
        }
        // Most have few, and are kept long: a list that has grown has room for four.
        for endpoints in [&mut set.endpoints, &mut set.ending, &mut set.unready] {
            endpoints.shrink_to_fit();
        }
        set
    }
}

/// The Service that a slice belongs to.
fn service_of(name: &ObjectName, slice: &EndpointSlice) -> Option<ObjectName> {
    let service = slice.metadata.labels.as_ref()?.service.as_deref()?;
    Some(ObjectName::new(Arc::clone(&name.namespace), service))
}

/// A port of a Service.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) name: String,
    /// `TCP` or `UDP`.
    pub(crate) protocol: String,
    pub(crate) app_protocol: Option<String>,
    target: Option<u16>,
}

/// What a Service leads to.
#[derive(Debug)]
pub(crate) enum Lookup {
    Port(Port),
    /// No port of that number and protocol family.
    NoPort,
    /// `type: ExternalName`: a name, not endpoints.
    ExternalName,
}

/// Finds a port of a Service; `protocol` decides between a TCP and a UDP port of the same number.
pub(crate) fn port(service: &Service, number: u16, protocol: &str) -> Lookup {
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        return Lookup::ExternalName;
    }
    let ports = spec
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    let same = ports
        .iter()
        .filter(|port| port.port == i32::from(number))
        .map(read_port);
    let same: Vec<Port> = same.collect();
    let fitting = same.iter().find(|port| port.protocol == protocol);
    match fitting.or(same.first()) {
        Some(port) => Lookup::Port(port.clone()),
        None => Lookup::NoPort,
    }
}

fn read_port(port: &ServicePort) -> Port {
    Port {
        name: port.name.as_deref().unwrap_or_default().to_owned(),
        protocol: port.protocol.as_deref().unwrap_or("TCP").to_owned(),
        app_protocol: port.app_protocol.as_deref().map(str::to_owned),
        target: match &port.target_port {
            Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
            Some(IntOrString::String(_)) => None,
            None => u16::try_from(port.port).ok(),
        },
    }
}

/// What an endpoint is good for, the least use first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    /// For nothing at the moment.
    Unready,
    /// For what it has already.
    Ending,
    /// For everything.
    Ready,
}

impl Condition {
    /// Reads what is known; what is not is taken as good (Kubernetes: `EndpointConditions`).
    fn of(endpoint: &endpoint_slice::Endpoint) -> Self {
        let given = endpoint.conditions.as_ref();
        let ready = given.and_then(|it| it.ready).unwrap_or(true);
        let serving = given.and_then(|it| it.serving).unwrap_or(ready);
        match (ready, serving) {
            (true, _) => Self::Ready,
            (false, true) => Self::Ending,
            (false, false) => Self::Unready,
        }
    }
}

fn endpoints(slice: &EndpointSlice, port: &Port) -> Vec<(Condition, Endpoint)> {
    let Some(target) = target_port(slice, port) else {
        return Vec::new();
    };
    let endpoints = slice.endpoints.iter().flatten();
    let endpoints = endpoints.filter_map(|endpoint| {
        let node = endpoint.node_name.as_deref();
        let found = Endpoint {
            address: SocketAddr::new(endpoint.address?, target),
            node: node.map(|it| NodeName(it.to_owned())),
        };
        Some((Condition::of(endpoint), found))
    });
    endpoints.collect()
}

/// The slice's port for a Service's port: the one of the same name; failing that, unnamed ports match: the one with
/// the Service's target port, or the only one.
fn target_port(slice: &EndpointSlice, port: &Port) -> Option<u16> {
    let ports = slice.ports.as_deref().unwrap_or_default();
    let fits = |it: &&EndpointPort| {
        it.protocol.as_deref().unwrap_or("TCP") == port.protocol && it.port.is_some()
    };
    let name = |it: &EndpointPort| it.name.clone().unwrap_or_default().into_string();
    let number = |it: &EndpointPort| {
        let number = it.port.and_then(|number| u16::try_from(number).ok());
        number.filter(|number| *number > 0)
    };
    let same_name = ports.iter().filter(fits).find(|it| name(it) == port.name);
    if let Some(found) = same_name {
        return number(found);
    }
    let unnamed: Vec<u16> = ports
        .iter()
        .filter(fits)
        .filter(|it| name(it).is_empty())
        .filter_map(number)
        .collect();
    let target = unnamed.iter().find(|number| Some(**number) == port.target);
    match (target, unnamed.as_slice()) {
        (Some(found), _) | (None, [found]) => Some(*found),
        (None, _) => None,
    }
}
