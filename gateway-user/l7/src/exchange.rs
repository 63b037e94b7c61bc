//! One request above the engine: a view of it in, a plan out. No IO.

use std::net::SocketAddr;

use gateway_ir::{PortProtocol, ProxySettings, Scheme};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header};

use crate::filter::{Place, Verdict};
use crate::forwarded::Forwarded;
use crate::headers::{strip_hop_by_hop, tokens};
use crate::program::{Found, Listener, Mirror, Port, Query, Rule, Share, View};
use crate::random::Random;
use crate::refusal::Refusal;
use crate::request::Target;

/// What is known of a connection before its requests.
#[derive(Debug)]
pub(crate) struct Client {
    /// The name of the TLS handshake; none without TLS or without SNI.
    pub(crate) server_name: Option<String>,
    pub(crate) scheme: Scheme,
    /// The listener's port.
    pub(crate) port: u16,
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

/// What is to happen to a request.
#[derive(Debug)]
pub(crate) enum Plan<'p> {
    /// The proxy answers by itself, without a body.
    Answer(Reply),
    /// A backend answers.
    Forward(Forward<'p>),
}

/// An answer of the proxy's own.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// What is sent to a backend, and what becomes of its answer.
#[derive(Debug)]
pub(crate) struct Forward<'p> {
    pub(crate) rule: &'p Rule,
    pub(crate) share: &'p Share,
    /// The request target.
    uri: Uri,
    /// The endpoint of the client's session.
    pub(crate) pinned: Option<SocketAddr>,
    cors: Option<Verdict>,
}

impl<'p> Admitted<'p, '_> {
    /// Finds the rule for the request and decides what its filters and backends make of it.
    pub(crate) fn plan(&self, client: &Client, random: &Random) -> Result<Plan<'p>, Refusal> {
        let target = &self.target;
        let view = View {
            method: &self.parts.method,
            path: &target.path,
            headers: &self.parts.headers,
            query: Query::new(target.query),
        };
        let found = self.listener.find(&target.host, &view);
        let Found { rule, prefix } = found.ok_or(Refusal::NoRoute)?;
        let place = Place {
            scheme: client.scheme,
            host: &target.host,
            port: client.port,
            path: &target.path,
            query: target.query,
            prefix: target.path.get(..prefix).unwrap_or_default(),
        };
        let policy = rule.filters.cors();
        if let Some(headers) = policy.and_then(|policy| policy.preflight(self.parts)) {
            let status = StatusCode::NO_CONTENT;
            return Ok(Plan::Answer(Reply { status, headers }));
        }
        let mut cors = policy.map(|policy| policy.verdict(&self.parts.headers));
        if let Some(redirect) = rule.filters.redirect(&place) {
            let reply = Reply::redirect(redirect, rule, cors.take())?;
            return Ok(Plan::Answer(reply));
        }
        let sessions = rule.sessions.as_ref();
        let pin = sessions.and_then(|sessions| sessions.find(&self.parts.headers));
        let share = match pin.and_then(|pin| rule.shares.get(pin.share)) {
            Some(share) => share,
            None => rule.shares.draw(random).ok_or(Refusal::NoBackend)?,
        };
        if let Some(headers) = share
            .filters
            .cors()
            .and_then(|own| own.preflight(self.parts))
        {
            let status = StatusCode::NO_CONTENT;
            return Ok(Plan::Answer(Reply { status, headers }));
        }
        if let Some(own) = share.filters.cors() {
            cors = Some(own.verdict(&self.parts.headers));
        }
        if let Some(redirect) = share.filters.redirect(&place) {
            let reply = Reply::redirect(redirect, rule, cors.take())?;
            return Ok(Plan::Answer(reply));
        }
        let path = share.filters.path(&place);
        let path = path.or_else(|| rule.filters.path(&place));
        Ok(Plan::Forward(Forward {
            rule,
            share,
            pinned: pin.map(|pin| pin.address),
            uri: target.origin_form(&self.parts.uri, path.as_deref())?,
            cors,
        }))
    }
}

impl Reply {
    fn redirect(
        (status, location): (StatusCode, String),
        rule: &Rule,
        cors: Option<Verdict>,
    ) -> Result<Self, Refusal> {
        let location = HeaderValue::try_from(location);
        let location = location.map_err(|_invalid| Refusal::NoBackend)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location);
        rule.filters.edit_response(&mut headers);
        if let Some(cors) = cors {
            cors.write(&mut headers);
        }
        Ok(Self { status, headers })
    }
}

impl Forward<'_> {
    /// Makes the head for the endpoint out of the client's.
    pub(crate) fn edit_request(
        &mut self,
        parts: &mut Parts,
        client: &Client,
        settings: &ProxySettings,
        random: &Random,
        payload: Payload,
    ) {
        parts.uri = std::mem::take(&mut self.uri);
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        let headers = &mut parts.headers;
        strip_hop_by_hop(headers);
        // The engine answers 100-continue itself as soon as the body is asked for.
        headers.remove(header::EXPECT);
        client.forwarded.write(headers, settings, random);
        self.rule.filters.edit_request(headers);
        self.share.filters.edit_request(headers);
        if payload == Payload::Present && !headers.contains_key(header::CONTENT_LENGTH) {
            // Said explicitly because the client engine would send a GET without its body otherwise.
            headers.insert(
                header::TRANSFER_ENCODING,
                HeaderValue::from_static("chunked"),
            );
        }
    }

    /// Where copies of the request go, as it goes to its endpoint.
    pub(crate) fn mirrors(&self) -> impl Iterator<Item = &Mirror> {
        self.rule.mirrors.iter().chain(&self.share.mirrors)
    }

    /// Makes the head for the client out of the endpoint's: the backendRef's filters are the inner ones.
    pub(crate) fn edit_response(
        self,
        headers: &mut HeaderMap,
        served_by: SocketAddr,
        scheme: Scheme,
    ) {
        if let (Some(sessions), Ok(destination)) = (&self.rule.sessions, &self.share.destination)
            && self.pinned != Some(served_by)
        {
            sessions.begin(&destination.backend.name, served_by, scheme, headers);
        }
        self.share.filters.edit_response(headers);
        self.rule.filters.edit_response(headers);
        if let Some(cors) = self.cors {
            cors.write(headers);
        }
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

/// Whether the client asks to speak WebSocket. Other upgrades are ignored, as RFC 9110 §7.8 allows.
pub(crate) fn wants_websocket(parts: &Parts) -> bool {
    parts.version == Version::HTTP_11
        && parts.headers.contains_key(header::UPGRADE)
        && tokens(&parts.headers, &header::CONNECTION)
            .any(|option| option.eq_ignore_ascii_case("upgrade"))
        && tokens(&parts.headers, &header::UPGRADE)
            .any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}
