//! What a rule does to a request before it is forwarded.

use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde::ser::Serializer;

/// A filter of a rule, in the order of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Filter {
    /// Gateway API: `HTTPRouteFilter.requestHeaderModifier`.
    RequestHeaderModifier(HeaderEdits),
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
