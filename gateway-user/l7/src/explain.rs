//! Says what the proxy would do with a request, and why: reads the same compiled program that serves.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gateway_ir::{
    HostPattern, HttpPort, ListenerId, PortProtocol, Routing, Rule, RuleId, Snapshot,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use serde::Serialize;

use crate::program::{Compiler, Program, Query, View, WhyNot, why_not};
use crate::refusal::Refusal;
use crate::request::Target;

/// A request to explain.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// Scheme, host, port and path; the port is the scheme's if it is not written.
    pub url: Uri,
    /// Other headers than `Host`.
    pub headers: HeaderMap,
}

/// What happens to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// One for each port that the URL may mean: Gateways with addresses of their own may share a port number.
    pub ports: Vec<PortExplanation>,
}

/// What happens to a request on one port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortExplanation {
    /// The addresses of the port; empty: all of the node.
    pub addresses: Vec<IpAddr>,
    /// The listener that owns the host.
    pub listener: Option<ListenerId>,
    /// The matches of the hosts that cover the request's, in the order in which they are asked.
    pub candidates: Vec<Candidate>,
    /// The rule that wins.
    pub choice: Option<Choice>,
    /// The status and the reason of a refusal that comes before any backend.
    pub refused: Option<(u16, String)>,
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

/// The rule that wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The route's own hostname.
    pub host: HostPattern,
    /// Filters, timeouts, retries, and the backends with their weights.
    pub rule: Arc<Rule>,
}

/// Explains what the proxy does with a request. A snapshot that cannot be compiled at all explains nothing.
pub fn explain(snapshot: &Snapshot, question: &Question) -> Explanation {
    let Some(parts) = head(question) else {
        return Explanation::default();
    };
    let (protocol, usual_port) = match question.url.scheme_str() {
        Some("https") => (PortProtocol::Tls, 443),
        Some(_) | None => (PortProtocol::Http, 80),
    };
    let number = question.url.port_u16().unwrap_or(usual_port);
    let Ok(mut compiler) = Compiler::new() else {
        return Explanation::default();
    };
    let (program, _failures) = compiler.compile(snapshot);
    let ports = snapshot.http.iter();
    let meant = ports.filter(|port| port.port == number && port.protocol == protocol);
    Explanation {
        ports: meant
            .map(|port| explain_port(&program, port, &parts))
            .collect(),
    }
}

/// The head of the request as a client would send it.
fn head(question: &Question) -> Option<Parts> {
    let target = question.url.path_and_query();
    let target = target.map_or("/", http::uri::PathAndQuery::as_str);
    let host = question.url.authority()?.as_str();
    let request = Request::builder()
        .method(question.method.clone())
        .uri(target);
    let (mut parts, ()) = request.body(()).ok()?.into_parts();
    parts.headers = question.headers.clone();
    let host = HeaderValue::from_str(host).ok()?;
    parts.headers.insert(header::HOST, host);
    Some(parts)
}

fn explain_port(program: &Program, port: &HttpPort, parts: &Parts) -> PortExplanation {
    let mut explanation = PortExplanation {
        addresses: port.addresses.clone(),
        listener: None,
        candidates: Vec::new(),
        choice: None,
        refused: None,
    };
    if let Err(refusal) = fill(&mut explanation, program, port, parts) {
        let reason = refusal.text().trim_end().to_owned();
        explanation.refused = Some((refusal.status().as_u16(), reason));
    }
    explanation
}

fn fill(
    explanation: &mut PortExplanation,
    program: &Program,
    port: &HttpPort,
    parts: &Parts,
) -> Result<(), Refusal> {
    let target = Target::read(parts, &port.settings)?;
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = port.addresses.first().copied().unwrap_or(any);
    let compiled = program.port(SocketAddr::new(address, port.port));
    let listener = compiled.and_then(|port| port.listener(&target.host));
    let listener = listener.ok_or(Refusal::NoRoute)?;
    explanation.listener = Some(listener.id.clone());
    let view = View {
        method: &parts.method,
        path: &target.path,
        headers: &parts.headers,
        query: Query::new(target.query),
    };
    let winner = listener
        .find(&target.host, &view)
        .map(|found| &found.rule.id);
    let source = port.listeners.iter().find(|one| one.id == listener.id);
    let Some(Routing::Http(hosts)) = source.map(|source| &source.routing) else {
        return Err(Refusal::NoRoute);
    };
    let mut covering: Vec<_> = hosts
        .iter()
        .filter(|(pattern, _)| pattern.matches(&target.host))
        .collect();
    covering.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
    for (host, program) in covering {
        for entry in program.entries() {
            let lost = match why_not(&entry.matches, &view) {
                Some(why) => Some(Lost::from(why)),
                None if explanation.choice.is_some() => Some(Lost::Precedence),
                None => {
                    explanation.choice = Some(Choice {
                        host: host.clone(),
                        rule: Arc::clone(&entry.rule),
                    });
                    None
                }
            };
            explanation.candidates.push(Candidate {
                host: host.clone(),
                rule: entry.rule.id.clone(),
                match_index: entry.match_index,
                lost,
            });
        }
    }
    let chosen = explanation.choice.as_ref().map(|choice| &choice.rule.id);
    if chosen != winner {
        tracing::error!(
            ?chosen,
            ?winner,
            "the explanation is not what is served: please report this"
        );
    }
    winner.map(|_| ()).ok_or(Refusal::NoRoute)
}

impl From<WhyNot> for Lost {
    fn from(why: WhyNot) -> Self {
        match why {
            WhyNot::Path => Self::Path,
            WhyNot::Method => Self::Method,
            WhyNot::Header(name) => Self::Header(name),
            WhyNot::Query(name) => Self::Query(name),
        }
    }
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

#[cfg(test)]
mod tests;
