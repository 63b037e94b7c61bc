//! One request above the engine: which listener it belongs to and what is sent to the endpoint. No IO.

use gateway_ir::{PortProtocol, ProxySettings};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};

use crate::headers::{Forwarded, strip_hop_by_hop, tokens};
use crate::program::{Listener, Port, Query, Rule, View};
use crate::refusal::Refusal;
use crate::request::Target;

/// What is known of a connection before its requests.
#[derive(Debug)]
pub(crate) struct Client {
    /// The name of the TLS handshake; none without TLS or without SNI.
    pub(crate) server_name: Option<String>,
    /// What endpoints are told about the client.
    pub(crate) forwarded: Forwarded,
}

/// A request that has been read, before routing.
#[derive(Debug)]
pub(crate) struct Admitted<'p, 'r> {
    pub(crate) listener: &'p Listener,
    target: Target<'r>,
    parts: &'r Parts,
}

/// Reads a request and finds its listener.
pub(crate) fn admit<'p, 'r>(
    port: &'p Port,
    client: &Client,
    parts: &'r Parts,
    settings: &ProxySettings,
) -> Result<Admitted<'p, 'r>, Refusal> {
    let target = Target::read(parts, settings)?;
    let listener = port.listener(&target.host).ok_or(Refusal::NoRoute)?;
    if port.protocol == PortProtocol::Tls {
        // Client certificates and the like belong to the listener of the handshake (GEP-3567), so no other may answer.
        let of_handshake = port.listener_by_sni(client.server_name.as_deref());
        if of_handshake.is_none_or(|other| other.index != listener.index) {
            return Err(Refusal::Misdirected);
        }
    }
    Ok(Admitted {
        listener,
        target,
        parts,
    })
}

impl<'p> Admitted<'p, '_> {
    /// The rule for the request, and the target that its endpoint gets.
    pub(crate) fn route(self) -> Result<(&'p Rule, Uri), Refusal> {
        let view = View {
            method: &self.parts.method,
            path: &self.target.path,
            headers: &self.parts.headers,
            query: Query::new(self.target.query),
        };
        let rule = self
            .listener
            .find(&self.target.host, &view)
            .ok_or(Refusal::NoRoute)?;
        Ok((rule, self.target.origin_form(&self.parts.uri)?))
    }
}

/// Gives an HTTP/2 request the `Host` that HTTP/1.1 endpoints and header matches read.
pub(crate) fn complete_host(parts: &mut Parts) {
    if parts.version != Version::HTTP_2 || parts.headers.contains_key(header::HOST) {
        return;
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if let Some(Ok(host)) = authority.map(HeaderValue::from_str) {
        parts.headers.insert(header::HOST, host);
    }
}

/// Whether a request's body is sent, and how it is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// No body.
    Absent,
    /// A body; without a length it is chunked.
    Present,
}

/// Names the protocol of an upgrade that both sides speak, after the hop-by-hop headers were stripped.
pub(crate) fn announce_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Makes the head for the endpoint out of the client's.
pub(crate) fn rewrite(parts: &mut Parts, uri: Uri, rule: &Rule, client: &Client, payload: Payload) {
    parts.uri = uri;
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let headers = &mut parts.headers;
    strip_hop_by_hop(headers);
    // The engine answers 100-continue itself as soon as the body is asked for.
    headers.remove(header::EXPECT);
    client.forwarded.write(headers);
    rule.edit(headers);
    if payload == Payload::Present && !headers.contains_key(header::CONTENT_LENGTH) {
        // Said explicitly because the client engine would send a GET without its body otherwise.
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
}

/// Whether sending a request twice does what sending it once does (RFC 9110 §9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

/// Whether the client asks to speak WebSocket. Other upgrades are ignored, as RFC 9110 §7.8 allows.
pub(crate) fn wants_websocket(parts: &Parts) -> bool {
    parts.version == Version::HTTP_11
        && parts.headers.contains_key(header::UPGRADE)
        && tokens(&parts.headers, &header::CONNECTION)
            .any(|option| option.eq_ignore_ascii_case("upgrade"))
        && tokens(&parts.headers, &header::UPGRADE)
            .any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}
