//! The conditions of a rule.

use http::{HeaderName, Method};
use serde::{Serialize, Serializer};

/// Memory that a compiled expression may take. Translation refuses expressions above it, so that what is accepted is what
/// the proxy can match.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// One match: all of its conditions must hold (Gateway API: `HTTPRouteMatch`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Match {
    /// The path.
    pub path: PathMatch,
    /// The method; none: any.
    #[serde(serialize_with = "method_as_text")]
    pub method: Option<Method>,
    /// Headers, each name once.
    pub headers: Vec<HeaderMatch>,
    /// Query parameters, each name once.
    pub query: Vec<QueryMatch>,
}

/// Gateway API: `HTTPPathMatch`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum PathMatch {
    /// The whole path, byte for byte.
    Exact(String),
    /// Whole path elements from the start; without a trailing slash (`/` is the empty string), so `/a` covers `/a` and `/a/b` but not `/ab`.
    Prefix(String),
    /// A regular expression that the whole path must match; known to compile.
    Regex(String),
}

/// Gateway API: `HTTPHeaderMatch`. Several values of one name are joined with a comma first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct HeaderMatch {
    /// The name.
    #[serde(serialize_with = "name_as_text")]
    pub name: HeaderName,
    /// The value.
    pub value: ValueMatch,
}

/// Gateway API: `HTTPQueryParamMatch`. The first parameter of the name counts, percent-decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct QueryMatch {
    /// The name, compared byte for byte.
    pub name: String,
    /// The value.
    pub value: ValueMatch,
}

/// A value to compare.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ValueMatch {
    /// Byte for byte.
    Exact(String),
    /// A regular expression that the whole value must match; known to compile.
    Regex(String),
}

fn method_as_text<S: Serializer>(
    method: &Option<Method>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    method.as_ref().map(Method::as_str).serialize(serializer)
}

fn name_as_text<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}
