//! The compiled routing of one host name.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::Serialize;

use crate::{
    Filter, Match, PathMatch, Retry, RuleId, SessionPersistence, Timeouts, WeightedBackend,
};

/// Everything that can happen to a request for one host name, in order of precedence: the first entry that matches wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct HostProgram {
    entries: Vec<Entry>,
}

impl HostProgram {
    /// Puts entries into order of precedence.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| a.precedence.cmp(&b.precedence));
        Self { entries }
    }

    /// The entries, the one that wins first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// A match and the rule that it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Entry {
    /// Where it stands among the entries of its host.
    pub precedence: Precedence,
    /// When it applies.
    pub matches: Match,
    /// Position in the rule's `matches`, from 0: names the match for `explain`.
    pub match_index: usize,
    /// What then happens; shared by all matches of the rule.
    pub rule: Arc<Rule>,
}

/// What happens to a request that a rule matched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Rule {
    /// Where it came from.
    pub id: RuleId,
    /// In the order of the rule.
    pub filters: Vec<Filter>,
    /// Empty, or weights that sum to 0: the answer is 500 (unless a filter answers).
    pub backends: Vec<WeightedBackend>,
    /// How refusals are worded.
    pub kind: RouteKind,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// What is tried again; none: only connections that failed before a byte was sent.
    pub retry: Option<Retry>,
    /// What ties a client to an endpoint.
    pub persistence: Option<SessionPersistence>,
}

/// The kind of route that a rule is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum RouteKind {
    /// HTTPRoute: statuses.
    #[default]
    Http,
    /// GRPCRoute: `grpc-status` where the client speaks gRPC.
    Grpc,
}

/// The Gateway API's order of matches (`HTTPRouteRule.matches`): less is first.
///
/// Exact path, then the longest prefix, then regular expressions (implementation-specific: longest first), then the
/// prefix `/`, which says nothing of the path; method, most headers, most query parameters, oldest route, route name,
/// order in the route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Precedence {
    path_kind: u8,
    path_length: Reverse<usize>,
    method: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    /// RFC 3339 in UTC, so that text order is time order; none: as if created last (files).
    created: Created,
    namespace: String,
    name: String,
    rule: usize,
    match_index: usize,
}

/// A creation time that sorts absent ones behind all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
enum Created {
    At(String),
    Unknown,
}

impl Precedence {
    /// Computes the rank of a match of a rule.
    pub fn new(matches: &Match, created: Option<&str>, rule: &RuleId, match_index: usize) -> Self {
        let (path_kind, length) = match &matches.path {
            PathMatch::Exact(path) => (0, path.len()),
            // GRPCRouteRule.matches: a method without a service, which is a regular expression here, is before nothing
            // at all.
            PathMatch::Prefix(path) if path.is_empty() => (3, 0),
            PathMatch::Prefix(path) => (1, path.len()),
            PathMatch::Regex(regex) => (2, regex.len()),
        };
        Self {
            path_kind,
            path_length: Reverse(length),
            method: Reverse(matches.method.is_some()),
            headers: Reverse(matches.headers.len()),
            query: Reverse(matches.query.len()),
            created: created.map_or(Created::Unknown, |time| Created::At(time.to_owned())),
            namespace: rule.route.object.namespace.clone(),
            name: rule.route.object.name.clone(),
            rule: rule.index,
            match_index,
        }
    }
}

#[cfg(test)]
mod tests;
