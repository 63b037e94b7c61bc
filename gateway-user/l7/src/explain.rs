//! Says what the proxy would do with a request, and why: reads the same compiled program that serves, by the same steps.

mod answer;
mod walk;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gateway_ir::{HttpPort, PortProtocol, Scheme, Snapshot};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};

pub use answer::{
    Answer, Candidate, Choice, Ending, Explanation, Fate, Handshake, Limits, Lost, Outcome,
    PortExplanation, Refused, Share,
};

use crate::exchange::Client;
use crate::forwarded::Forwarded;
use crate::program::{Compiler, Program};
use walk::{Matches, Walk};

/// A request to explain.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// Scheme, host, port and path; the port is the scheme's if it is not written.
    pub url: Uri,
    /// The headers; without `Host` it is that of the URL.
    pub headers: HeaderMap,
    /// The server name of TLS; none: the host of the URL.
    pub server_name: Option<String>,
}

/// Explains what is done with requests by one program.
#[derive(Clone, Debug)]
pub struct Explainer {
    snapshot: Arc<Snapshot>,
    program: Arc<Program>,
    matches: Arc<Matches>,
}

impl Explainer {
    /// Compiles a snapshot that no proxy serves.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn compile(snapshot: Arc<Snapshot>) -> Result<Self, rustls::Error> {
        let (program, _failures) = Compiler::new()?.compile(&snapshot);
        Ok(Self::new(snapshot, Arc::new(program)))
    }

    pub(crate) fn new(snapshot: Arc<Snapshot>, program: Arc<Program>) -> Self {
        Self {
            snapshot,
            program,
            matches: Arc::default(),
        }
    }

    /// Explains a request; a URL without a host explains nothing.
    pub fn explain(&self, question: &Question) -> Explanation {
        let Some(parts) = head(question) else {
            return Explanation::default();
        };
        let (protocol, usual_port) = match question.url.scheme_str() {
            Some("https") => (PortProtocol::Tls, 443),
            Some(_) | None => (PortProtocol::Http, 80),
        };
        let number = question.url.port_u16().unwrap_or(usual_port);
        let all = self.snapshot.http.iter();
        let (meant, others): (Vec<_>, Vec<_>) =
            all.partition(|port| port.port == number && port.protocol == protocol);
        let ports = meant.into_iter().filter_map(|source| {
            let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let address = source.addresses.first().copied().unwrap_or(any);
            let walk = Walk {
                settings: &source.settings,
                matches: &self.matches,
                source,
                compiled: self.program.port(SocketAddr::new(address, source.port))?,
                client: client(source, question),
            };
            Some(walk.port(&parts))
        });
        let ports: Vec<PortExplanation> = ports.collect();
        let others = if ports.is_empty() { others } else { Vec::new() };
        let others = others.into_iter().map(|port| (port.port, port.protocol));
        Explanation {
            ports,
            others: others.collect(),
        }
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
    parts.headers.entry(header::HOST).or_insert(host);
    Some(parts)
}

/// A client of this machine.
fn client(port: &HttpPort, question: &Question) -> Client {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let scheme = match port.protocol {
        PortProtocol::Http => Scheme::Http,
        PortProtocol::Tls => Scheme::Https,
    };
    let local = SocketAddr::new(here, port.port);
    Client {
        server_name: server_name(question),
        scheme,
        peer: SocketAddr::new(here, 0),
        port: port.port,
        forwarded: Forwarded::new(here, local, scheme),
    }
}

/// The name that a client would ask for. An IP address is none (RFC 6066 §3).
fn server_name(question: &Question) -> Option<String> {
    let name = question.server_name.as_deref().or(question.url.host())?;
    let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    let name = name.strip_suffix('.').unwrap_or(name);
    (!is_address && !name.is_empty()).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
