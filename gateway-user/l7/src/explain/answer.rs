//! What an explanation says. Values only: how they are shown is for the caller.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::{
    ClientValidationMode, HostPattern, ListenerId, PortProtocol, Rule, RuleId, StreamProgram,
};
use serde::Serialize;

/// What happens to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// One for each port that the URL may mean: Gateways with addresses of their own may share a port number.
    pub ports: Vec<PortExplanation>,
    /// The ports that are served, if the URL means none of them.
    pub others: Vec<(u16, PortProtocol)>,
}

/// What happens to a request on one port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortExplanation {
    /// The addresses of the port; empty: all of the node.
    pub addresses: Vec<IpAddr>,
    /// The port.
    pub port: u16,
    /// What the server name of TLS leads to; none: clear text.
    pub handshake: Option<Handshake>,
    /// The listener that owns the request's host.
    pub listener: Option<ListenerId>,
    /// The matches of the hosts that cover the request's, in the order in which they are asked.
    pub candidates: Vec<Candidate>,
    /// What comes of it.
    pub outcome: Outcome,
}

/// What the server name of TLS leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handshake {
    /// The name that the client asks for; none: none.
    pub server_name: Option<String>,
    /// The listener that owns it.
    pub listener: Option<ListenerId>,
    /// Where TLS ends.
    pub ending: Ending,
    /// What clients must show; none: nothing.
    pub clients: Option<ClientValidationMode>,
}

/// Where TLS ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Ending {
    /// Here.
    Here,
    /// At the endpoint.
    Endpoint,
    /// Nowhere: there is no handshake.
    Nowhere,
}

/// A match that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The route's own hostname.
    pub host: HostPattern,
    /// The rule.
    pub rule: RuleId,
    /// Position in the rule's `matches`, from 0.
    pub match_index: usize,
    /// Why it is not the one; none: it is.
    pub lost: Option<Lost>,
}

/// Why a match is not the one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Lost {
    /// Another path.
    Path,
    /// Another method.
    Method,
    /// This header is missing or has another value.
    Header(String),
    /// This query parameter is missing or has another value.
    Query(String),
    /// It matches, but one before it does too.
    Precedence,
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The proxy refuses it.
    Refused {
        /// The rule that has no backend for it; none: it has no rule.
        choice: Option<Choice>,
        /// How it is refused.
        refused: Refused,
    },
    /// There is no handshake: the client gets an alert.
    Alert,
    /// There is no handshake: the connection is closed after it was accepted.
    Closed,
    /// A filter of the rule answers.
    Answered {
        /// The rule.
        choice: Choice,
        /// The answer.
        answer: Answer,
    },
    /// The rule's backends share it.
    Routed {
        /// The rule.
        choice: Choice,
        /// What each backendRef does with it, in the order of the rule.
        shares: Vec<Share>,
        /// The endpoint that the session of the request leads to.
        pinned: Option<SocketAddr>,
    },
    /// It is no request but a connection, which the backends of a TLSRoute share.
    Connected {
        /// The route's own hostname.
        host: HostPattern,
        /// The rule, with its backends and their weights.
        rule: Arc<StreamProgram>,
    },
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// The `grpc-status` for clients that speak gRPC.
    pub grpc_status: Option<&'static str>,
    /// The reason.
    pub reason: String,
}

/// An answer without a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, in their order.
    pub headers: Vec<(String, String)>,
}

/// The rule that wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The route's own hostname.
    pub host: HostPattern,
    /// Filters, timeouts, retries, and the backends with their weights, as configured.
    pub rule: Arc<Rule>,
    /// What holds in the end.
    pub limits: Limits,
}

/// How long and how often the proxy tries, all settings and defaults together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// From the request's arrival to the end of the response; none: no limit.
    pub request: Option<Duration>,
    /// One try at one endpoint; none: no limit.
    pub backend_request: Option<Duration>,
    /// A connection attempt.
    pub connect: Duration,
    /// Tries beside the first after a failed connection.
    pub connect_retries: u32,
    /// Tries beside the first after a status that the rule names, or a lost connection.
    pub retries: u32,
}

/// What a backendRef does with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Position in the rule's `backendRefs`, from 0.
    pub index: usize,
    /// What comes of the requests that it gets; none: its weight is 0, and it gets none.
    pub fate: Option<Fate>,
}

/// What comes of a request at a backendRef.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Fate {
    /// It is sent to an endpoint, with this request target and host.
    Sent {
        /// The request target.
        target: String,
        /// The host.
        host: String,
    },
    /// A filter of the backendRef answers.
    Answered(Answer),
    /// The proxy refuses it.
    Refused(Refused),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("another path"),
            Self::Method => f.write_str("another method"),
            Self::Header(name) => write!(f, "header {name} is missing or different"),
            Self::Query(name) => write!(f, "query parameter {name} is missing or different"),
            Self::Precedence => f.write_str("matches, but one before it does too"),
        }
    }
}
