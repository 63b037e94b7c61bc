//! Cross-origin requests (Fetch Standard, "CORS protocol"; Gateway API: `HTTPCORSFilter`).

use gateway_ir::{Cors, Credentials, Listing, OriginPattern};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// The headers that only the policy writes: what endpoints say of them would be a second policy.
const POLICY_HEADERS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];
const ANY: HeaderValue = HeaderValue::from_static("*");

/// A compiled policy.
#[derive(Debug)]
pub(crate) struct CorsPolicy {
    origins: Vec<Pattern>,
    credentials: Credentials,
    methods: List,
    headers: List,
    exposed: List,
    max_age: HeaderValue,
}

/// What a response says.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    headers: HeaderMap,
}

impl CorsPolicy {
    pub(super) fn new(cors: &Cors) -> Self {
        Self {
            origins: cors.allow_origins.iter().map(Pattern::new).collect(),
            credentials: cors.allow_credentials,
            methods: List::new(&cors.allow_methods, Method::as_str),
            headers: List::new(&cors.allow_headers, HeaderName::as_str),
            exposed: List::new(&cors.expose_headers, HeaderName::as_str),
            max_age: HeaderValue::from(cors.max_age.as_secs()),
        }
    }

    /// The headers of the answer to a preflight request; nothing if the request is none.
    pub(crate) fn preflight(&self, parts: &Parts) -> Option<HeaderMap> {
        let asked = &parts.headers;
        let method = asked.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if parts.method != Method::OPTIONS || !asked.contains_key(header::ORIGIN) {
            return None;
        }
        let mut answer = self.shared(asked);
        if answer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            let methods = self.methods.value(self.credentials, Some(method));
            put(&mut answer, header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
            let headers = self.headers.value(self.credentials, wanted);
            put(&mut answer, header::ACCESS_CONTROL_ALLOW_HEADERS, headers);
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        Some(answer)
    }

    /// What the response to any other request says.
    pub(crate) fn verdict(&self, request: &HeaderMap) -> Verdict {
        Verdict {
            headers: self.shared(request),
        }
    }

    /// What both kinds of answers say about the origin.
    fn shared(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = request.get(header::ORIGIN) else {
            return headers;
        };
        let allowed = Origin::read(origin.as_bytes())
            .is_some_and(|origin| self.origins.iter().any(|pattern| pattern.covers(&origin)));
        if !allowed && !self.origins.contains(&Pattern::Any) {
            return headers;
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials == Credentials::Allowed {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        let exposed = self.exposed.value(self.credentials, None);
        put(&mut headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        headers
    }
}

impl Verdict {
    /// Writes it into a response, in place of what the endpoint says of origins.
    pub(crate) fn write(self, response: &mut HeaderMap) {
        for name in POLICY_HEADERS {
            response.remove(name);
        }
        for (name, value) in &self.headers {
            // `Vary` has other reasons too.
            response.append(name, value.clone());
        }
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// Names that are allowed.
#[derive(Debug)]
enum List {
    Any,
    Nothing,
    These(HeaderValue),
}

impl List {
    fn new<T>(listing: &Listing<T>, text: fn(&T) -> &str) -> Self {
        let names: Vec<&str> = match listing {
            Listing::Any => return Self::Any,
            Listing::These(names) => names.iter().map(text).collect(),
        };
        match HeaderValue::try_from(names.join(", ")) {
            Ok(value) if !names.is_empty() => Self::These(value),
            Ok(_) | Err(_) => Self::Nothing,
        }
    }

    /// What the header says. With credentials `*` is not a wildcard (Fetch Standard), so what is asked for is repeated.
    fn value(&self, credentials: Credentials, asked: Option<&HeaderValue>) -> Option<HeaderValue> {
        match (self, credentials) {
            (Self::These(value), _) => Some(value.clone()),
            (Self::Nothing, _) => None,
            (Self::Any, Credentials::Withheld) => Some(ANY),
            (Self::Any, Credentials::Allowed) => asked.cloned(),
        }
    }
}

/// An origin with its port, which is implied by the scheme if it is not written (Gateway API: `allowOrigins`).
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = match authority.rsplit_once(':') {
            // The colon of an address in brackets is no port's.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            Some(_) | None if scheme == "https" => (authority, 443),
            Some(_) | None => (authority, 80),
        };
        Some(Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    Exact(Origin),
    /// The host is what must follow the wildcard.
    Wildcard(Origin),
    /// What translation let through and cannot be read covers nothing.
    Never,
}

impl Pattern {
    fn new(pattern: &OriginPattern) -> Self {
        match pattern {
            OriginPattern::Any => Self::Any,
            OriginPattern::Exact(text) => {
                Origin::read(text.as_bytes()).map_or(Self::Never, Self::Exact)
            }
            OriginPattern::Wildcard { scheme, suffix } => {
                let text = format!("{scheme}{suffix}");
                Origin::read(text.as_bytes()).map_or(Self::Never, Self::Wildcard)
            }
        }
    }

    fn covers(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Wildcard(wildcard) => {
                wildcard.scheme == origin.scheme
                    && wildcard.port == origin.port
                    && origin.host.len() > wildcard.host.len()
                    && origin.host.ends_with(&wildcard.host)
            }
            Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests;
