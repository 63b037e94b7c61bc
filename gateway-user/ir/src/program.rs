//! The compiled routing of one host name.

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::{
    Filter, Match, PathMatch, Retry, RuleId, SessionPersistence, SharedMap, Timeouts,
    WeightedBackend,
};

/// Everything that can happen to a request for one host name, in order of precedence: the first entry that matches wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HostProgram {
    entries: SharedMap<Arc<Precedence>, Arc<Entry>>,
}

impl HostProgram {
    /// Puts entries into order of precedence.
    pub fn new(entries: impl IntoIterator<Item = impl Into<Arc<Entry>>>) -> Self {
        let mut program = Self::default();
        for entry in entries {
            program.insert(entry.into());
        }
        program
    }

    /// Adds an entry, in place of one with the same precedence.
    pub fn insert(&mut self, entry: Arc<Entry>) {
        self.entries.insert(Arc::clone(&entry.precedence), entry);
    }

    /// Takes the entry of a precedence out.
    pub fn remove(&mut self, precedence: &Precedence) {
        self.entries.remove(precedence);
    }

    /// The entries, the one that wins first.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// What is different in a newer program: the entries that are gone and those that are new, in pairs of one precedence.
    pub fn differences<'p>(
        &'p self,
        newer: &'p Self,
    ) -> impl Iterator<Item = (Option<&'p Arc<Entry>>, Option<&'p Arc<Entry>>)> {
        let differences = self.entries.differences(&newer.entries, Arc::ptr_eq);
        differences.map(|(_, gone, new)| (gone, new))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing can happen.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Serialize for HostProgram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut program = serializer.serialize_struct("HostProgram", 1)?;
        let entries: Vec<&Arc<Entry>> = self.entries().collect();
        program.serialize_field("entries", &entries)?;
        program.end()
    }
}

/// A match and the rule that it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The hash of the content, computed once.
    #[serde(skip)]
    digest: u64,
    /// Where it stands among the entries of its host.
    pub precedence: Arc<Precedence>,
    /// When it applies.
    pub matches: Match,
    /// Position in the rule's `matches`, from 0: names the match for `explain`.
    pub match_index: usize,
    /// What then happens; shared by all matches of the rule.
    pub rule: Arc<Rule>,
}

impl Entry {
    /// A match of a rule, with its rank; `created` is when the route was made.
    pub fn new(matches: Match, created: Option<&str>, rule: Arc<Rule>, match_index: usize) -> Self {
        let precedence = Precedence::new(&matches, created, &rule.id, match_index);
        let mut hasher = DefaultHasher::new();
        (&precedence, &matches, match_index, &rule).hash(&mut hasher);
        Self {
            digest: hasher.finish(),
            precedence: Arc::new(precedence),
            matches,
            match_index,
            rule,
        }
    }

    /// The same match with another rule of the same route.
    #[must_use]
    pub fn with_rule(&self, rule: Arc<Rule>) -> Self {
        let mut hasher = DefaultHasher::new();
        (&self.precedence, &self.matches, self.match_index, &rule).hash(&mut hasher);
        Self {
            digest: hasher.finish(),
            rule,
            ..self.clone()
        }
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
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
    namespace: Arc<str>,
    name: Arc<str>,
    /// An HTTPRoute and a GRPCRoute may have the same name.
    kind: Box<str>,
    rule: usize,
    match_index: usize,
}

/// A creation time that sorts absent ones behind all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
enum Created {
    At(Box<str>),
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
            created: created.map_or(Created::Unknown, |time| Created::At(time.into())),
            namespace: Arc::clone(&rule.route.object.namespace),
            name: Arc::clone(&rule.route.object.name),
            kind: rule.route.kind.as_str().into(),
            rule: rule.index,
            match_index,
        }
    }
}

#[cfg(test)]
mod tests;
