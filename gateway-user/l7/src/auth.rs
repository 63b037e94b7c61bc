//! Authorization by a server (Gateway API: `HTTPExternalAuthFilter`): the messages, without IO.

mod grpc;
mod http;
mod protobuf;

use ::http::request::Parts;
use ::http::uri::PathAndQuery;
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use gateway_ir::{AuthProtocol, ExternalAuth, Filter, Listing, Target};

use crate::headers::frames_messages;
use crate::refusal::Refusal;
use crate::transport::{Destination, Transports};

pub(crate) use grpc::ANSWER_BYTES_MAX;

/// Who is asked, and how.
#[derive(Debug)]
pub(crate) struct Auth {
    /// Where the server is, or why it can not be asked: then nothing goes on.
    pub(crate) destination: Result<Destination, Refusal>,
    pub(crate) protocol: AuthProtocol,
    pub(crate) body_bytes_max: usize,
}

/// What the server is told of a request, its head apart.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// The target as the client sent it, in canonical form.
    pub(crate) target: &'a PathAndQuery,
    pub(crate) scheme: &'static str,
    pub(crate) peer: std::net::SocketAddr,
    pub(crate) local: std::net::SocketAddr,
    pub(crate) server_name: Option<&'a str>,
    /// None: the server is not sent any.
    pub(crate) body: Option<Bytes>,
}

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The request goes on, with these changes.
    Granted(Grant),
    /// It does not, and the client is told this.
    Denied(Denial),
}

/// What an authorized request gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) edits: Vec<Edit>,
    /// Headers of the client's request that the endpoint does not get.
    pub(crate) remove: Vec<HeaderName>,
    /// Headers that the client gets beside the endpoint's.
    pub(crate) response: Vec<Edit>,
}

/// One header to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
    pub(crate) mode: Mode,
}

/// What becomes of values that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are replaced.
    Set,
    /// They stay, and another one is added.
    Append,
    /// They stay, and nothing is added.
    AddIfAbsent,
    /// They are replaced; without any nothing is added.
    SetIfPresent,
}

/// An answer in the server's name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Auth {
    /// The one of a list of filters.
    pub(crate) fn of(filters: &[Filter], transports: &mut Transports) -> Option<Box<Self>> {
        filters.iter().find_map(|filter| match filter {
            Filter::ExternalAuth(auth) => Some(Box::new(Self::new(auth, transports))),
            Filter::RequestHeaderModifier(_)
            | Filter::ResponseHeaderModifier(_)
            | Filter::RequestRedirect(_)
            | Filter::UrlRewrite(_)
            | Filter::RequestMirror(_)
            | Filter::Cors(_) => None,
        })
    }

    fn new(auth: &ExternalAuth, transports: &mut Transports) -> Self {
        Self {
            destination: match &auth.target {
                Target::Backend(backend) => transports.destination(backend),
                Target::Invalid(_) => Err(Refusal::NoBackend),
            },
            protocol: auth.protocol.clone(),
            body_bytes_max: auth.body_bytes_max as usize,
        }
    }

    /// Where questions go.
    pub(crate) fn destination(&self) -> Option<&Destination> {
        self.destination.as_ref().ok()
    }

    /// The request for the server, and its body.
    pub(crate) fn question(
        &self,
        head: &Parts,
        facts: &Facts<'_>,
    ) -> Result<(Parts, Bytes), Refusal> {
        match &self.protocol {
            AuthProtocol::Http {
                path,
                request_headers,
                ..
            } => http::question(head, facts, path, request_headers),
            AuthProtocol::Grpc { request_headers } => grpc::question(head, facts, request_headers),
        }
    }
}

/// Reads an answer by HTTP; nothing if it is not a yes, and is the client's as it is.
pub(crate) fn granted(answer: &HeaderMap, copied: &Listing<HeaderName>) -> Grant {
    http::granted(answer, copied)
}

/// Reads an answer by gRPC.
pub(crate) fn verdict(message: &[u8]) -> Result<Verdict, Refusal> {
    grpc::verdict(message)
}

/// Whether a header is the authorization server's to write: not those that a message is delimited by, nor its host.
fn is_writable(name: &HeaderName) -> bool {
    !frames_messages(name) && *name != header::HOST
}

impl Grant {
    /// Changes the head for the endpoint.
    pub(crate) fn edit_request(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        write(&self.edits, headers);
    }

    /// Changes the head for the client.
    pub(crate) fn edit_response(&self, headers: &mut HeaderMap) {
        write(&self.response, headers);
    }
}

fn write(edits: &[Edit], headers: &mut HeaderMap) {
    for Edit { name, value, mode } in edits {
        match (mode, headers.contains_key(name)) {
            (Mode::Append, _) => drop(headers.append(name, value.clone())),
            (Mode::Set, _) | (Mode::AddIfAbsent, false) | (Mode::SetIfPresent, true) => {
                drop(headers.insert(name, value.clone()));
            }
            (Mode::AddIfAbsent, true) | (Mode::SetIfPresent, false) => {}
        }
    }
}
