//! Routes, Gateways and classes in our own words: what `conv` makes of the API's types, defaults filled in.
//!
//! Every value that may be wrong is a `Result` here, so that nothing behind `conv` has to parse.

use std::net::IpAddr;

use gateway_ir::{Filter, HostPattern, Match, ObjectName};

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

/// A Gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) meta: Meta,
    pub(crate) class: String,
    /// `infrastructure.parametersRef`.
    pub(crate) parameters: Option<ObjectRef>,
    pub(crate) wishes: Vec<AddressWish>,
    /// Fields that are set, do no harm when they are left out, and are not served.
    pub(crate) ignored: Vec<&'static str>,
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

/// A listener of a Gateway.
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
    Tcp,
    Udp,
    Unsupported(String),
}

/// A listener's `tls`.
#[derive(Debug)]
pub(crate) struct ListenerTls {
    pub(crate) mode: TlsMode,
    pub(crate) certificates: Vec<ObjectRef>,
    pub(crate) client_validation: ClientValidation,
}

/// Who ends TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    Terminate,
    Passthrough,
}

/// Whether clients must show a certificate (`Gateway.spec.tls.frontend`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientValidation {
    Off,
    Wanted,
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

/// A rule of an HTTPRoute.
#[derive(Debug)]
pub(crate) struct HttpRule {
    pub(crate) name: Option<String>,
    pub(crate) matches: Vec<Result<Match, String>>,
    pub(crate) filters: Vec<Result<Filter, String>>,
    /// Fields that are set and not served.
    pub(crate) unsupported: Vec<String>,
    pub(crate) backends: Vec<BackendRef>,
}

/// A rule of a TCPRoute or UDPRoute.
#[derive(Debug)]
pub(crate) struct L4Rule {
    pub(crate) backends: Vec<BackendRef>,
}

/// A backendRef.
#[derive(Clone, Debug)]
pub(crate) struct BackendRef {
    pub(crate) target: ObjectRef,
    pub(crate) port: Option<i32>,
    pub(crate) weight: Result<u32, String>,
    /// Filters of the backendRef that are not served.
    pub(crate) unsupported: Vec<String>,
}
