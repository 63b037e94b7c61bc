//! What a rule or a backendRef does to a request and its response.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde::ser::Serializer;

use crate::Target;

/// A filter, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Filter {
    /// Gateway API: `HTTPRouteFilter.requestHeaderModifier`.
    RequestHeaderModifier(HeaderEdits),
    /// Gateway API: `HTTPRouteFilter.responseHeaderModifier`.
    ResponseHeaderModifier(HeaderEdits),
    /// Gateway API: `HTTPRouteFilter.requestRedirect`. Nothing is forwarded.
    RequestRedirect(Redirect),
    /// Gateway API: `HTTPRouteFilter.urlRewrite`.
    UrlRewrite(UrlRewrite),
    /// Gateway API: `HTTPRouteFilter.requestMirror`. Its fate never reaches the client.
    RequestMirror(Mirror),
    /// Gateway API: `HTTPRouteFilter.cors`. Preflight requests are answered here.
    Cors(Cors),
    /// Gateway API: `HTTPRouteFilter.externalAuth`. Without a yes nothing is forwarded.
    ExternalAuth(ExternalAuth),
}

/// Header changes, applied in the order remove, set, add (Gateway API: `HTTPHeaderFilter`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct HeaderEdits {
    /// Replaces every value of the header.
    #[serde(serialize_with = "as_text")]
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Adds a value beside those that are there.
    #[serde(serialize_with = "as_text")]
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Removes every value of the header.
    #[serde(serialize_with = "names_as_text")]
    pub remove: Vec<HeaderName>,
}

/// Where a request is sent instead (Gateway API: `HTTPRequestRedirectFilter`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Redirect {
    /// The scheme of `Location`; none: the request's.
    pub scheme: Option<Scheme>,
    /// The host of `Location`; none: the request's.
    pub hostname: Option<String>,
    /// The path of `Location`; none: the request's.
    pub path: Option<PathModifier>,
    /// The port of `Location`; none: the well-known port of `scheme` if that is set, else the listener's.
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    #[serde(serialize_with = "status_as_number")]
    pub status: StatusCode,
}

/// A URL scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Port 80 by default.
    Http,
    /// Port 443 by default.
    Https,
}

/// Gateway API: `HTTPPathModifier`. The query stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum PathModifier {
    /// The whole path is this one.
    ReplaceFullPath(String),
    /// The prefix that the rule matched becomes this one; only with a rule whose matches are all prefixes.
    ReplacePrefixMatch(String),
}

/// Gateway API: `HTTPURLRewriteFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UrlRewrite {
    /// The Host that the endpoint sees.
    pub hostname: Option<String>,
    /// The path that the endpoint sees.
    pub path: Option<PathModifier>,
}

/// A copy of requests (Gateway API: `HTTPRequestMirrorFilter`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Mirror {
    /// Where the copies go; an invalid one gets none.
    pub target: Target,
    /// Which share of the requests is copied.
    pub share: Fraction,
}

/// A share of requests: `numerator` out of `denominator`, which is not 0 and not less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Fraction {
    /// How many.
    pub numerator: u32,
    /// Out of how many.
    pub denominator: u32,
}

impl Fraction {
    /// Every request.
    pub const ALL: Self = Self {
        numerator: 1,
        denominator: 1,
    };
}

/// Gateway API: `HTTPCORSFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Cors {
    /// The origins that may read responses.
    pub allow_origins: Vec<OriginPattern>,
    /// Whether requests with credentials may.
    pub allow_credentials: Credentials,
    /// The methods; [`Listing::Any`]: `*`.
    #[serde(serialize_with = "methods_as_text")]
    pub allow_methods: Listing<Method>,
    /// The request headers; [`Listing::Any`]: `*`.
    #[serde(serialize_with = "header_listing_as_text")]
    pub allow_headers: Listing<HeaderName>,
    /// The response headers that scripts may read; [`Listing::Any`]: `*`.
    #[serde(serialize_with = "header_listing_as_text")]
    pub expose_headers: Listing<HeaderName>,
    /// How long a preflight answer may be remembered.
    pub max_age: Duration,
}

/// An origin that CORS allows: scheme, host and port, each of which may be open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum OriginPattern {
    /// `*`.
    Any,
    /// `scheme://host[:port]` in lower case.
    Exact(String),
    /// `scheme://*.suffix[:port]`: any number of labels in front of `.suffix`.
    Wildcard {
        /// The scheme with `://`.
        scheme: String,
        /// What follows `*`, the dot and a port included.
        suffix: String,
    },
}

/// Whether CORS allows credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Credentials {
    /// The header is sent.
    Allowed,
    /// The header is left out.
    #[default]
    Withheld,
}

/// Names, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listing<T> {
    /// `*`.
    Any,
    /// These; may be none.
    These(Vec<T>),
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl<T> Listing<T> {
    fn collect<S: Serializer>(
        &self,
        serializer: S,
        text: fn(&T) -> &str,
    ) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.collect_seq(["*"]),
            Self::These(names) => serializer.collect_seq(names.iter().map(text)),
        }
    }
}

/// Gateway API: `HTTPExternalAuthFilter`: who is asked whether a request may go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ExternalAuth {
    /// The server; an invalid one lets nothing through.
    pub target: Target,
    /// How it is asked.
    pub protocol: AuthProtocol,
    /// How much of a request's body the server is sent; a longer one is refused. 0: none of it, whatever its length.
    pub body_bytes_max: u32,
}

/// How an authorization server is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum AuthProtocol {
    /// By a request like the client's; 200 is a yes (Gateway API: `HTTPAuthConfig`).
    Http {
        /// What stands before the client's path; empty, or begins with a slash and does not end with one.
        path: String,
        /// The client's headers that it sees beside Host, Content-Length and Authorization.
        #[serde(serialize_with = "names_as_text")]
        request_headers: Vec<HeaderName>,
        /// The headers of its answer that the endpoint gets.
        #[serde(serialize_with = "header_listing_as_text")]
        response_headers: Listing<HeaderName>,
    },
    /// By a call of `envoy.service.auth.v3.Authorization/Check` (Gateway API: `GRPCAuthConfig`).
    Grpc {
        /// The client's headers that it sees.
        #[serde(serialize_with = "header_listing_as_text")]
        request_headers: Listing<HeaderName>,
    },
}

fn as_text<S: Serializer>(
    headers: &[(HeaderName, HeaderValue)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))),
    )
}

fn names_as_text<S: Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}

fn methods_as_text<S: Serializer>(
    methods: &Listing<Method>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    methods.collect(serializer, Method::as_str)
}

fn header_listing_as_text<S: Serializer>(
    headers: &Listing<HeaderName>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    headers.collect(serializer, HeaderName::as_str)
}

fn status_as_number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
