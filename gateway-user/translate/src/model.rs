//! Routes, Gateways and classes in our own words: what `conv` makes of the API's types, defaults filled in.
//!
//! Every value that may be wrong is a `Result` here, so that nothing behind `conv` has to parse.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_ir::{
    AuthProtocol, ClientValidationMode, Filter, Fraction, HostPattern, Match, ObjectName, Retry,
    SessionPersistence, SubjectName, Timeouts,
};

use crate::status::{Kind, ParentReference, Reason};

/// Why something is refused: the reason and the sentence of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, message }
    }
}

/// What every object has.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) name: ObjectName,
    pub(crate) generation: i64,
    /// RFC 3339 in UTC.
    pub(crate) created: Option<String>,
}

impl Meta {
    /// The order in which objects win conflicts: the oldest first, those of unknown age last, then by name.
    pub(crate) fn age(&self) -> (bool, Option<&str>, &ObjectName) {
        (self.created.is_none(), self.created.as_deref(), &self.name)
    }
}

/// A GatewayClass.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) meta: Meta,
    pub(crate) controller: String,
    pub(crate) parameters: Option<ObjectRef>,
}

/// A reference by group, kind and name.
#[derive(Clone, Debug)]
pub(crate) struct ObjectRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: ObjectName,
}

impl ObjectRef {
    pub(crate) fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == "Service"
    }
}

/// A Gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) meta: Meta,
    pub(crate) class: String,
    /// `infrastructure.parametersRef`.
    pub(crate) parameters: Option<ObjectRef>,
    pub(crate) wishes: Vec<AddressWish>,
    /// What its status says that it has: it keeps that as long as it may.
    pub(crate) held: Vec<IpAddr>,
    /// Fields that are set, do no harm when they are left out, and are not served.
    pub(crate) ignored: Vec<&'static str>,
    pub(crate) listeners: Vec<Listener>,
    /// The namespaces whose ListenerSets may attach.
    pub(crate) allowed_sets: Namespaces,
    pub(crate) clients: Clients,
    /// `tls.backend.clientCertificateRef`.
    pub(crate) client_certificate: Option<ObjectRef>,
}

/// Which certificates clients must show (`Gateway.spec.tls.frontend`).
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) default: Option<Validation>,
    /// What is said for a port replaces the default.
    pub(crate) per_port: BTreeMap<u16, Option<Validation>>,
}

impl Clients {
    pub(crate) fn on_port(&self, port: u16) -> Option<&Validation> {
        match self.per_port.get(&port) {
            Some(own) => own.as_ref(),
            None => self.default.as_ref(),
        }
    }

    /// Whether clients without a valid certificate are let in anywhere.
    pub(crate) fn is_insecure(&self) -> bool {
        let all = self.per_port.values().chain([&self.default]).flatten();
        let mut modes = all.map(|it| it.mode);
        modes.any(|mode| mode == ClientValidationMode::AllowInsecureFallback)
    }
}

/// How the certificates of clients are validated; without authorities none is valid.
#[derive(Debug)]
pub(crate) struct Validation {
    pub(crate) authorities: Vec<ObjectRef>,
    pub(crate) mode: ClientValidationMode,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            authorities: Vec::new(),
            mode: ClientValidationMode::AllowValidOnly,
        }
    }
}

/// A ListenerSet.
#[derive(Debug)]
pub(crate) struct ListenerSet {
    pub(crate) meta: Meta,
    pub(crate) parent: ObjectRef,
    pub(crate) listeners: Vec<Listener>,
}

/// An entry of `Gateway.spec.addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AddressWish {
    /// An IPAddress without a value: any will do.
    Any,
    /// This one.
    Address(IpAddr),
    /// A type that is not served, or a value that is no address.
    Unsupported(String),
}

/// A listener of a Gateway or a ListenerSet.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) port: Result<u16, String>,
    pub(crate) protocol: ListenerProtocol,
    pub(crate) hostname: Result<HostPattern, String>,
    pub(crate) tls: Option<ListenerTls>,
    /// `allowedRoutes.kinds` as group and kind; empty: what the protocol has.
    pub(crate) kinds: Vec<(String, String)>,
    pub(crate) namespaces: Namespaces,
}

/// A listener's protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenerProtocol {
    Http,
    Https,
    Tls,
    Tcp,
    Udp,
    Unsupported(String),
}

/// A listener's `tls`.
#[derive(Debug)]
pub(crate) struct ListenerTls {
    pub(crate) mode: TlsMode,
    pub(crate) certificates: Vec<ObjectRef>,
}

/// Who ends TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    Terminate,
    Passthrough,
}

/// Which namespaces something is open to.
#[derive(Clone, Debug)]
pub(crate) enum Namespaces {
    All,
    Same,
    None,
    Selector(Selector),
}

/// A label selector: every requirement must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    pub(crate) requirements: Vec<Requirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    pub(crate) key: String,
    pub(crate) operator: Operator,
    pub(crate) values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    /// One that the API does not have: matches nothing.
    Unknown,
}

/// A route of any kind, with its own sort of rules.
#[derive(Debug)]
pub(crate) struct Route<R> {
    pub(crate) kind: Kind,
    pub(crate) meta: Meta,
    pub(crate) parents: Vec<ParentReference>,
    /// As written; empty: every name.
    pub(crate) hostnames: Vec<Result<HostPattern, String>>,
    pub(crate) rules: Vec<R>,
}

/// A rule of an HTTPRoute or GRPCRoute.
#[derive(Debug)]
pub(crate) struct HttpRule {
    pub(crate) name: Option<String>,
    pub(crate) matches: Vec<Result<Match, String>>,
    pub(crate) filters: Vec<Result<RouteFilter, String>>,
    pub(crate) timeouts: Result<Timeouts, String>,
    pub(crate) retry: Result<Option<Retry>, String>,
    pub(crate) persistence: Result<Option<SessionPersistence>, String>,
    pub(crate) backends: Vec<HttpBackendRef>,
}

/// A filter as written.
#[derive(Clone, Debug)]
pub(crate) enum RouteFilter {
    /// One that is the same when it runs.
    Ready(Filter),
    /// A mirror, whose backend has to be found.
    Mirror {
        backend: BackendRef,
        share: Fraction,
    },
    /// An authorization, whose server has to be found.
    Auth {
        server: BackendRef,
        protocol: AuthProtocol,
        body_bytes_max: u32,
    },
}

impl RouteFilter {
    /// The backend that it refers to beside those of the rule.
    pub(crate) fn backend(&self) -> Option<&BackendRef> {
        match self {
            Self::Ready(_) => None,
            Self::Mirror { backend, .. } => Some(backend),
            Self::Auth { server, .. } => Some(server),
        }
    }
}

/// A backendRef of an HTTPRoute or GRPCRoute.
#[derive(Debug)]
pub(crate) struct HttpBackendRef {
    pub(crate) reference: BackendRef,
    pub(crate) filters: Vec<Result<RouteFilter, String>>,
}

/// A rule of a TCPRoute, UDPRoute or TLSRoute.
#[derive(Debug)]
pub(crate) struct L4Rule {
    pub(crate) name: Option<String>,
    pub(crate) backends: Vec<BackendRef>,
}

/// A backendRef.
#[derive(Clone, Debug)]
pub(crate) struct BackendRef {
    pub(crate) target: ObjectRef,
    pub(crate) port: Option<i32>,
    pub(crate) weight: Result<u32, String>,
}

/// A BackendTLSPolicy.
#[derive(Debug)]
pub(crate) struct BackendPolicy {
    pub(crate) meta: Meta,
    pub(crate) targets: Vec<PolicyTarget>,
    pub(crate) hostname: Result<String, String>,
    pub(crate) names: Vec<Result<SubjectName, String>>,
    pub(crate) authorities: Result<Authorities, String>,
}

/// What a policy is for.
#[derive(Debug)]
pub(crate) struct PolicyTarget {
    pub(crate) target: ObjectRef,
    /// One port of a Service, by its name; none: all that no other policy is for.
    pub(crate) section: Option<String>,
}

/// Whom to trust.
#[derive(Debug)]
pub(crate) enum Authorities {
    System,
    References(Vec<ObjectRef>),
}
