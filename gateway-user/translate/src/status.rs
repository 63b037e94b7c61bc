//! What became of the objects, in the words of the specification.

use std::fmt;
use std::net::IpAddr;

use gateway_ir::ObjectName;
use serde::{Serialize, Serializer};

pub use crate::key::{Kind, ObjectKey};

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectStatus {
    /// The object.
    #[serde(flatten)]
    pub object: ObjectKey,
    /// The generation that was translated (`observedGeneration`); 0 for files.
    pub generation: i64,
    /// The object's own conditions; empty for routes, which have theirs by parent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The addresses of a Gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The listeners of a Gateway, in the order of its spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
    /// The parents of a route that are ours, in the order of its spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentStatus>,
    /// The Gateways that a policy has an effect at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<AncestorStatus>,
    /// How many ListenerSets are attached to a Gateway and accepted (`attachedListenerSets`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_listener_sets: Option<u32>,
}

impl ObjectStatus {
    /// A status with nothing in it.
    pub(crate) fn new(kind: Kind, name: &ObjectName, generation: i64) -> Self {
        Self {
            object: ObjectKey {
                kind,
                name: name.clone(),
            },
            generation,
            conditions: Vec::new(),
            addresses: Vec::new(),
            listeners: Vec::new(),
            parents: Vec::new(),
            ancestors: Vec::new(),
            attached_listener_sets: None,
        }
    }

    /// Every condition of the object, of its listeners, of its parents and of its ancestors.
    pub fn all_conditions(&self) -> impl Iterator<Item = &Condition> {
        let listeners = self.listeners.iter().flat_map(|it| &it.conditions);
        let parents = self.parents.iter().flat_map(|it| &it.conditions);
        let ancestors = self.ancestors.iter().flat_map(|it| &it.conditions);
        self.conditions
            .iter()
            .chain(listeners)
            .chain(parents)
            .chain(ancestors)
    }
}

/// What became of a listener (Gateway API: `ListenerStatus`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The listener's name.
    pub name: String,
    /// The kinds of routes that may attach, all of the group gateway.networking.k8s.io.
    pub supported_kinds: Vec<Kind>,
    /// How many routes are attached.
    pub attached_routes: u32,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// What became of a route at one of its parents (Gateway API: `RouteParentStatus`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The parent as the route names it.
    pub parent_ref: ParentReference,
    /// The conditions there.
    pub conditions: Vec<Condition>,
}

/// What became of a policy at a Gateway (Gateway API: `PolicyAncestorStatus`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AncestorStatus {
    /// The Gateway.
    pub ancestor_ref: ParentReference,
    /// The conditions there.
    pub conditions: Vec<Condition>,
}

/// A reference to a parent, with group, kind and namespace filled in (Gateway API: `ParentReference`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// Namespace and name.
    #[serde(flatten)]
    pub name: ObjectName,
    /// One listener only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// The listeners of one port only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A statement about an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence that says what to do; empty if there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Condition {
    /// A condition with a message.
    pub fn new(
        kind: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status,
            reason,
            message: message.into(),
        }
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known yet.
    Unknown,
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variants are spelled as the API spells them.
        f.pad(match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        })
    }
}

/// What a condition is about (Gateway API: the `…ConditionType` constants).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The object is valid and will be served.
    Accepted,
    /// All references lead somewhere.
    ResolvedRefs,
    /// The data planes run it.
    Programmed,
    /// Another listener has the same port and hostname; bad if true.
    Conflicted,
    /// Some rules of a route are not served; bad if true.
    PartiallyInvalid,
    /// Names or certificates of TLS listeners on one port overlap, so that HTTP/2 connections may be reused across them: a remark.
    OverlappingTlsConfig,
    /// A Gateway takes clients without a valid certificate: a remark.
    InsecureFrontendValidationMode,
    /// The CRDs of the Gateway API are of a release that is known.
    SupportedVersion,
}

impl ConditionType {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::ResolvedRefs,
        Self::Programmed,
        Self::Conflicted,
        Self::PartiallyInvalid,
        Self::OverlappingTlsConfig,
        Self::InsecureFrontendValidationMode,
        Self::SupportedVersion,
    ];

    /// The word, as the specification spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Conflicted => "Conflicted",
            Self::PartiallyInvalid => "PartiallyInvalid",
            Self::OverlappingTlsConfig => "OverlappingTLSConfig",
            Self::InsecureFrontendValidationMode => "InsecureFrontendValidationMode",
            Self::SupportedVersion => "SupportedVersion",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ConditionType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a condition is as it is (Gateway API: the `…ConditionReason` constants, and Sanmon's own for pools).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// The word, as the specification spells it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// Everything is in order.
    Accepted,
    /// A Gateway has a listener that is not valid.
    ListenersNotValid,
    /// A parametersRef leads nowhere or to something unusable.
    InvalidParameters,
    /// An address of a type that is not served.
    UnsupportedAddress,
    /// An address that no pool has, that is taken, or that this Gateway may not use.
    AddressNotUsable,
    /// No pool has an address left, or there is no pool.
    AddressNotAssigned,
    /// Not yet.
    Pending,
    /// The data planes run it.
    Programmed,
    /// The configuration is not valid.
    Invalid,
    /// All references lead somewhere.
    ResolvedRefs,
    /// No conflict.
    NoConflicts,
    /// Another listener has the same port, protocol and hostname.
    HostnameConflict,
    /// Another listener has the same port with another protocol.
    ProtocolConflict,
    /// A protocol that is not served.
    UnsupportedProtocol,
    /// A certificateRef leads to no valid key pair.
    InvalidCertificateRef,
    /// The clientCertificateRef of a Gateway leads to no valid key pair.
    InvalidClientCertificateRef,
    /// A caCertificateRef leads to nothing that holds a certificate.
    InvalidCACertificateRef,
    /// A caCertificateRef of a kind that is not served.
    InvalidCACertificateKind,
    /// No caCertificateRef leads to a certificate.
    NoValidCACertificate,
    /// A Gateway was told to take clients without a valid certificate.
    ConfigurationChanged,
    /// Two TLS listeners on a port have names in common.
    OverlappingHostnames,
    /// The certificate of a TLS listener covers names of another on its port.
    OverlappingCertificates,
    /// A ListenerSet that its Gateway does not let in.
    NotAllowed,
    /// A ListenerSet whose Gateway is not accepted.
    ParentNotAccepted,
    /// An older policy has the same target.
    Conflicted,
    /// A kind of route that the listener's protocol does not have.
    InvalidRouteKinds,
    /// A reference into another namespace without a ReferenceGrant.
    RefNotPermitted,
    /// A value that is not served, or that the API would refuse.
    UnsupportedValue,
    /// The listener does not let this route in.
    NotAllowedByListeners,
    /// The parent has no listener of that name or port.
    NoMatchingParent,
    /// The listener's and the route's hostnames have nothing in common.
    NoMatchingListenerHostname,
    /// A backendRef of a kind that is not served.
    InvalidKind,
    /// A backendRef leads to no Service or port.
    BackendNotFound,
    /// The port is in use by another program.
    PortUnavailable,
    /// The CRDs of the Gateway API are of a release that is known.
    SupportedVersion,
    /// A CRD of the Gateway API is of a release that is not known.
    UnsupportedVersion,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
