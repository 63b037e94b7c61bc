//! The compiled configuration that Sanmon's data planes run on.
//!
//! `gateway-translate` makes a [`Snapshot`] out of Kubernetes objects; the three gates read it. Nothing here knows
//! Kubernetes, sockets or BPF: plain values, compared and hashed by content, shared by `Arc` where one change
//! must not rebuild what did not change.

#![forbid(unsafe_code)]

pub mod backend;
pub mod filter;
pub mod host;
pub mod interface;
pub mod listener;
pub mod matching;
pub mod name;
pub mod policy;
pub mod program;
pub mod report;
pub mod service;
pub mod session_keys;
mod settings;
pub mod shared_map;
pub mod snapshot;
pub mod split;
pub mod tls;
pub mod vip;

pub use backend::{
    Backend, BackendName, BackendProtocol, Endpoint, EndpointSet, InvalidBackend, Target,
};
pub use filter::{
    AuthProtocol, Cors, Credentials, ExternalAuth, Filter, Fraction, HeaderEdits, Listing, Mirror,
    OriginPattern, PathModifier, Redirect, Scheme, UrlRewrite,
};
pub use host::{HostPattern, InvalidHost};
pub use interface::{Interface, Mac};
pub use listener::{HttpPort, Listener, ListenerTls, PortProtocol, Routing, StreamProgram};
pub use matching::{HeaderMatch, Match, PathMatch, QueryMatch, REGEX_BYTES_MAX, ValueMatch};
pub use name::{ListenerId, NodeName, ObjectName, RouteName, RuleId};
pub use policy::{CookieLifetime, Retry, SessionCarrier, SessionPersistence, Timeouts};
pub use program::{Entry, HostProgram, Precedence, RouteKind, Rule};
pub use report::{Gate, GateReport, ListenerFailure};
pub use service::{Protocol, Service, ServiceTarget, WeightedEndpoint};
pub use session_keys::SessionKeys;
pub use settings::{
    AnnounceSettings, ConflictPolicy, DatapathMode, DatapathSettings, ForwardedHeaders, GrpcWeb,
    ProxyHeaderVersion, ProxyHeaders, ProxyProtocol, ProxySettings, WorkerSettings,
};
pub use shared_map::SharedMap;
pub use snapshot::{Generation, Snapshot};
pub use split::WeightedBackend;
pub use tls::{
    BackendTls, Certificate, ClientValidation, ClientValidationMode, PrivateKey, SubjectName, Trust,
};
pub use vip::{AddressRange, Choice, Pool, Vip};
