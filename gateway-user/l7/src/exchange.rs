//! One request above the engine: a view of it in, a plan out. No IO.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_ir::{PortProtocol, ProxySettings, Scheme};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header};

use crate::auth::Auth;
use crate::filter::{Filters, Place, Turn, Verdict};
use crate::forwarded::Forwarded;
use crate::headers::{strip_hop_by_hop, tokens};
use crate::program::{Found, Listener, Mirror, Port, Query, Rule, Share, View};
use crate::random::Random;
use crate::refusal::Refusal;
use crate::request::Target;
use crate::session::Pin;

/// What is known of a connection before its requests.
#[derive(Debug)]
pub(crate) struct Client {
    /// The name of the TLS handshake; none without TLS or without SNI.
    pub(crate) server_name: Option<String>,
    pub(crate) scheme: Scheme,
    pub(crate) peer: SocketAddr,
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
pub(crate) struct Plan<'p> {
    /// The filters that it goes through.
    pub(crate) stages: [Option<Stage<'p>>; STAGES],
    /// Whether one of them asks a server first.
    pub(crate) gate: Option<Gate<'p>>,
    pub(crate) then: Then<'p>,
}

/// The rule, and the share of it.
const STAGES: usize = 2;

/// One list of filters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage<'p> {
    pub(crate) filters: &'p Filters,
    pub(crate) auth: Option<&'p Auth>,
}

/// What a request needs that a server is asked about.
#[derive(Debug)]
pub(crate) struct Gate<'p> {
    /// The client's target in canonical form.
    pub(crate) target: PathAndQuery,
    rule: &'p Rule,
    cors: Option<Verdict>,
}

impl Gate<'_> {
    /// Makes the head for a client who is turned away.
    pub(crate) fn edit_denial(self, headers: &mut HeaderMap) {
        self.rule.filters.edit_response(headers);
        if let Some(cors) = self.cors {
            cors.write(headers);
        }
    }
}

/// What happens to a request that nobody objects to.
#[derive(Debug)]
pub(crate) enum Then<'p> {
    /// The proxy answers by itself, without a body.
    Answer(Reply),
    /// A backend answers.
    Forward(Forward<'p>),
}

impl Then<'_> {
    /// The time that the rule gives to all of it.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Answer(_) => None,
            Self::Forward(forward) => forward.rule.timeouts().request,
        }
    }
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
    pub(crate) uri: Uri,
    /// The endpoint of the client's session.
    pub(crate) pinned: Option<SocketAddr>,
    cors: Option<Verdict>,
}

impl<'p> Admitted<'p, '_> {
    /// Finds the rule for the request and decides what its filters and backends make of it.
    pub(crate) fn plan(&self, client: &Client, random: &Random) -> Result<Plan<'p>, Refusal> {
        let mut routed = self.route(client)?;
        if let Some(plan) = routed.answer()? {
            return Ok(plan);
        }
        let rule = routed.rule;
        let pin = routed.pin();
        let share = match pin.and_then(|pin| rule.shares.get(pin.share)) {
            Some(share) => share,
            None => rule.shares.draw(random).ok_or(Refusal::NoBackend)?,
        };
        routed.plan_on(share, pin)
    }

    /// What routing reads of the request.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            method: &self.parts.method,
            path: &self.target.path,
            headers: &self.parts.headers,
            query: Query::new(self.target.query),
        }
    }

    /// The canonical host.
    pub(crate) fn host(&self) -> &str {
        &self.target.host
    }

    /// Finds the rule for the request.
    pub(crate) fn route(&self, client: &Client) -> Result<Routed<'p, '_>, Refusal> {
        let target = &self.target;
        let found = self.listener.find(&target.host, &self.view());
        let Found { rule, prefix } = found.ok_or(Refusal::NoRoute)?;
        let place = Place {
            scheme: client.scheme,
            host: &target.host,
            port: client.port,
            path: &target.path,
            query: target.query,
            prefix: target.path.get(..prefix).unwrap_or_default(),
        };
        Ok(Routed {
            rule,
            place,
            target,
            parts: self.parts,
            stages: [None; STAGES],
            cors: None,
        })
    }
}

/// A request with its rule.
#[derive(Clone, Debug)]
pub(crate) struct Routed<'p, 'a> {
    pub(crate) rule: &'p Rule,
    place: Place<'a>,
    target: &'a Target<'a>,
    parts: &'a Parts,
    stages: [Option<Stage<'p>>; STAGES],
    cors: Option<Verdict>,
}

impl<'p> Routed<'p, '_> {
    /// Goes through the filters of the rule; gives the plan if one of them answers.
    pub(crate) fn answer(&mut self) -> Result<Option<Plan<'p>>, Refusal> {
        let Rule { filters, auth, .. } = self.rule;
        let auth = auth.as_deref();
        self.enter(0, Stage { filters, auth })
    }

    /// The request as it came.
    pub(crate) fn parts(&self) -> &Parts {
        self.parts
    }

    /// The share that the session of the request goes to.
    pub(crate) fn pin(&self) -> Option<Pin> {
        let sessions = self.rule.sessions.as_ref()?;
        sessions.find(&self.parts.headers)
    }

    /// What becomes of the request on a share of the rule.
    pub(crate) fn plan_on(
        mut self,
        share: &'p Share,
        pin: Option<Pin>,
    ) -> Result<Plan<'p>, Refusal> {
        let Share { filters, auth, .. } = share;
        let auth = auth.as_deref();
        if let Some(plan) = self.enter(1, Stage { filters, auth })? {
            return Ok(plan);
        }
        let path = share.filters.path(&self.place);
        let path = path.or_else(|| self.rule.filters.path(&self.place));
        let forward = Forward {
            rule: self.rule,
            share,
            pinned: pin.map(|pin| pin.address),
            uri: self.target.origin_form(&self.parts.uri, path.as_deref())?,
            cors: self.cors.clone(),
        };
        self.plan(Then::Forward(forward))
    }

    /// Goes through a list of filters; gives the plan if one of them answers.
    fn enter(&mut self, index: usize, stage: Stage<'p>) -> Result<Option<Plan<'p>>, Refusal> {
        let filters = stage.filters;
        if let Some(policy) = filters.cors() {
            if let Some(headers) = policy.preflight(self.parts) {
                let status = StatusCode::NO_CONTENT;
                // A preflight has no credentials (Fetch Standard), so there is nothing to ask about.
                self.stages = [None; STAGES];
                return self.plan(Then::Answer(Reply { status, headers })).map(Some);
            }
            self.cors = Some(policy.verdict(&self.parts.headers));
        }
        let redirect = filters.redirect(&self.place);
        let is_first = redirect.is_some() && filters.redirects() == Turn::First;
        if let (false, Some(place)) = (is_first, self.stages.get_mut(index)) {
            *place = Some(stage);
        }
        let Some(redirect) = redirect else {
            return Ok(None);
        };
        let reply = Reply::redirect(redirect, self.rule, self.cors.clone())?;
        self.plan(Then::Answer(reply)).map(Some)
    }

    fn plan(&self, then: Then<'p>) -> Result<Plan<'p>, Refusal> {
        let mut stages = self.stages.iter().flatten();
        let gate = match stages.any(|stage| stage.auth.is_some()) {
            false => None,
            true => Some(Gate {
                target: self.target.canonical(&self.parts.uri)?,
                rule: self.rule,
                cors: self.cors.clone(),
            }),
        };
        Ok(Plan {
            stages: self.stages,
            gate,
            then,
        })
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

/// Makes of the client's head what the filters work on.
pub(crate) fn prepare(
    headers: &mut HeaderMap,
    client: &Client,
    settings: &ProxySettings,
    random: &Random,
) {
    strip_hop_by_hop(headers);
    // The engine answers 100-continue itself as soon as the body is asked for.
    headers.remove(header::EXPECT);
    client.forwarded.write(headers, settings, random);
}

impl Forward<'_> {
    /// Makes the head for the endpoint out of the filtered one.
    pub(crate) fn complete(&mut self, parts: &mut Parts, payload: Payload) {
        parts.uri = std::mem::take(&mut self.uri);
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        let headers = &mut parts.headers;
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
