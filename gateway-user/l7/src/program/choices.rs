//! The candidates of one path: finds the first in order of precedence whose conditions hold, without asking them one
//! after the other.
//!
//! Candidates that ask for the same facts (the method, these headers, those parameters) form a group, and a group finds
//! its candidates by the values of these facts. Values only narrow the choice: a candidate that is given was asked.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use gateway_ir::{Match, Precedence, ValueMatch};
use http::HeaderName;

use super::candidates::{Candidate, Candidates, Edits};
use super::condition::joined;
use super::patterns::Patterns;
use super::steps;
use super::trie::{Hashed, Trie};
use super::view::View;

/// Groups that are asked one after the other; of more only those that the request has a name for.
const GROUPS_ASKED_MAX: usize = 4;

/// All candidates of one path.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    /// Those that ask for nothing.
    plain: Candidates,
    /// None: there are no others.
    groups: Option<Arc<Groups>>,
}

impl Choices {
    /// Whether there are no candidates.
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_none()
    }

    /// Takes candidates out and in.
    pub(super) fn edit(&mut self, edits: Edits) {
        let mut others = Vec::new();
        for (asks, edits) in edits.apart(Asks::of) {
            if asks.is_nothing() {
                self.plain.edit(edits);
            } else {
                others.push((asks, edits));
            }
        }
        if !others.is_empty() {
            let mut groups = self.groups.take().map(Arc::unwrap_or_clone);
            groups.get_or_insert_default().edit(others);
            self.groups = groups.filter(|it| !it.all.is_empty()).map(Arc::new);
        }
    }

    /// The first candidate that holds.
    pub(super) fn first(&self, view: &View<'_>) -> Option<&Candidate> {
        let best = self.groups.as_ref().and_then(|groups| groups.first(view));
        match (best, self.plain.best()) {
            (best, None) => best,
            (Some(best), Some(plain)) if best.precedence() < plain => Some(best),
            (best, Some(_)) => {
                steps::count();
                earlier(best, self.plain.first(view))
            }
        }
    }
}

/// The one of two candidates that wins.
fn earlier<'c>(one: Option<&'c Candidate>, other: Option<&'c Candidate>) -> Option<&'c Candidate> {
    let both = one.into_iter().chain(other);
    both.min_by(|one, other| one.precedence().cmp(other.precedence()))
}

/// The candidates that ask for something.
#[derive(Clone, Debug, Default)]
struct Groups {
    all: Vec<Arc<Group>>,
    /// Only where there are many groups.
    names: Option<Names>,
}

impl Groups {
    fn edit(&mut self, edits: Vec<(Asks, Edits)>) {
        let places = self.all.iter().enumerate();
        let places: HashMap<Arc<Asks>, usize> = places
            .map(|(place, group)| (Arc::clone(&group.asks), place))
            .collect();
        let mut same = true;
        for (asks, edits) in edits {
            let known = places.get(&asks).and_then(|it| self.all.get_mut(*it));
            match known {
                Some(group) => Arc::make_mut(group).edit(edits),
                None => {
                    if let Some(group) = Group::new(asks, edits) {
                        self.all.push(Arc::new(group));
                        same = false;
                    }
                }
            }
        }
        let before = self.all.len();
        self.all.retain(|group| !group.buckets.is_empty());
        if !same || self.all.len() != before {
            let many = self.all.len() > GROUPS_ASKED_MAX;
            self.names = many.then(|| Names::new(&self.all));
        }
    }

    fn first(&self, view: &View<'_>) -> Option<&Candidate> {
        match &self.names {
            None => {
                let groups = self.all.iter();
                groups.fold(None, |best, group| group.better(best, view))
            }
            Some(names) => {
                let named = names.named(view);
                let groups = named.filter_map(|index| self.all.get(index));
                groups.fold(None, |best, group| group.better(best, view))
            }
        }
    }
}

/// The facts of a request that a candidate compares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asks {
    method: bool,
    /// Those that must have one value, sorted.
    headers: Vec<HeaderName>,
    query: Vec<String>,
    /// The first header that an expression must match.
    pattern: Option<HeaderName>,
}

impl Asks {
    fn of(matches: &Match) -> Self {
        let (headers, query) = wanted(matches);
        Self {
            method: matches.method.is_some(),
            headers: headers.into_iter().map(|(name, _)| name.clone()).collect(),
            query: query.into_iter().map(|(name, _)| name.to_owned()).collect(),
            pattern: pattern(matches).map(|(name, _)| name.clone()),
        }
    }

    fn is_nothing(&self) -> bool {
        let Self {
            method,
            headers,
            query,
            pattern,
        } = self;
        !method && headers.is_empty() && query.is_empty() && pattern.is_none()
    }

    /// What the request has for these facts, as a hash; nothing if it lacks one.
    fn answered_by(&self, view: &View<'_>, state: &RandomState) -> Option<u64> {
        let mut hasher = state.build_hasher();
        if self.method {
            view.method.as_str().hash(&mut hasher);
        }
        for name in &self.headers {
            joined(view.headers, name)?.hash(&mut hasher);
        }
        for name in &self.query {
            view.query.first(name)?.as_bytes().hash(&mut hasher);
        }
        Some(hasher.finish())
    }
}

/// The hash of the answer that a match wants.
fn answer(matches: &Match, state: &RandomState) -> u64 {
    let mut hasher = state.build_hasher();
    if let Some(method) = &matches.method {
        method.as_str().hash(&mut hasher);
    }
    let (headers, query) = wanted(matches);
    for (_, value) in headers {
        value.as_bytes().hash(&mut hasher);
    }
    for (_, value) in query {
        value.as_bytes().hash(&mut hasher);
    }
    hasher.finish()
}

type Wanted<'m, N> = Vec<(&'m N, &'m str)>;

/// The headers and parameters that must have one value, sorted by name.
fn wanted(matches: &Match) -> (Wanted<'_, HeaderName>, Wanted<'_, str>) {
    let headers = matches.headers.iter();
    let headers = headers.filter_map(|it| Some((&it.name, exact(&it.value)?)));
    let mut headers: Wanted<'_, HeaderName> = headers.collect();
    headers.sort_unstable_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    let query = matches.query.iter();
    let query = query.filter_map(|it| Some((it.name.as_str(), exact(&it.value)?)));
    let mut query: Wanted<'_, str> = query.collect();
    query.sort_unstable();
    (headers, query)
}

fn exact(value: &ValueMatch) -> Option<&str> {
    match value {
        ValueMatch::Exact(text) => Some(text),
        ValueMatch::Regex(_) => None,
    }
}

/// The first header that an expression must match, with that expression.
fn pattern(matches: &Match) -> Option<(&HeaderName, &str)> {
    matches.headers.iter().find_map(|it| match &it.value {
        ValueMatch::Exact(_) => None,
        ValueMatch::Regex(text) => Some((&it.name, text.as_str())),
    })
}

/// The candidates that ask for the same facts.
#[derive(Clone, Debug)]
struct Group {
    /// No candidate is before it; the first of them may be gone.
    best: Arc<Precedence>,
    asks: Arc<Asks>,
    state: RandomState,
    /// By the hash of the values.
    buckets: Trie<u64, Bucket, Hashed>,
}

/// The candidates that want the same values.
#[derive(Clone, Debug)]
enum Bucket {
    Plain(Candidates),
    /// By the expression for the header of the group.
    Patterns(Patterns<Candidates>),
}

impl Group {
    /// A group of candidates; none of no candidates.
    fn new(asks: Asks, edits: Edits) -> Option<Self> {
        let best = Arc::clone(edits.best()?);
        let mut group = Self {
            best,
            asks: Arc::new(asks),
            state: RandomState::new(),
            buckets: Trie::default(),
        };
        group.edit(edits);
        Some(group)
    }

    fn edit(&mut self, edits: Edits) {
        if let Some(best) = edits.best().filter(|best| **best < self.best) {
            self.best = Arc::clone(best);
        }
        let answers = edits.apart(|matches| answer(matches, &self.state));
        for (answer, edits) in answers {
            let bucket = self.buckets.entry(answer, || Bucket::new(&self.asks));
            bucket.edit(edits);
            if bucket.is_empty() {
                self.buckets.remove(&answer);
            }
        }
    }

    /// The best of what there is already and what the group has.
    fn better<'c>(&'c self, best: Option<&'c Candidate>, view: &View<'_>) -> Option<&'c Candidate> {
        if best.is_some_and(|best| *best.precedence() < *self.best) {
            return best;
        }
        steps::count();
        let answer = self.asks.answered_by(view, &self.state);
        let bucket = answer.and_then(|answer| self.buckets.get(&answer));
        let found = bucket.and_then(|bucket| match (bucket, &self.asks.pattern) {
            (Bucket::Plain(candidates), _) => candidates.first(view),
            (Bucket::Patterns(patterns), Some(header)) => matching(patterns, header, view),
            (Bucket::Patterns(_), None) => None,
        });
        earlier(best, found)
    }
}

/// The first candidate whose expression for a header matches.
fn matching<'c>(
    patterns: &'c Patterns<Candidates>,
    header: &HeaderName,
    view: &View<'_>,
) -> Option<&'c Candidate> {
    let value = joined(view.headers, header)?;
    let value = std::str::from_utf8(&value).ok()?;
    let matching = patterns.matching(value);
    let firsts = matching.map(|candidates| candidates.first(view));
    firsts.fold(None, earlier)
}

impl Bucket {
    fn new(asks: &Asks) -> Self {
        match asks.pattern {
            None => Self::Plain(Candidates::default()),
            Some(_) => Self::Patterns(Patterns::default()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Plain(candidates) => candidates.is_empty(),
            Self::Patterns(patterns) => patterns.is_empty(),
        }
    }

    fn edit(&mut self, edits: Edits) {
        match self {
            Self::Plain(candidates) => candidates.edit(edits),
            Self::Patterns(patterns) => {
                let text =
                    |matches: &Match| pattern(matches).map_or("", |(_, text)| text).to_owned();
                patterns.edit(edits.apart(text), Candidates::is_empty, Candidates::edit);
            }
        }
    }
}

/// Which groups can have a match in a request that has a name; positions in [`Groups::all`].
#[derive(Clone, Debug, Default)]
struct Names {
    headers: HashMap<HeaderName, Vec<usize>>,
    query: HashMap<String, Vec<usize>>,
    /// Those that ask for no name.
    others: Vec<usize>,
}

impl Names {
    /// Puts each group under the one of its names that the fewest groups have.
    fn new(groups: &[Arc<Group>]) -> Self {
        let mut headers: HashMap<&HeaderName, usize> = HashMap::new();
        let mut query: HashMap<&str, usize> = HashMap::new();
        for group in groups {
            for name in group.headers() {
                *headers.entry(name).or_default() += 1;
            }
            for name in &group.asks.query {
                *query.entry(name).or_default() += 1;
            }
        }
        let mut names = Self::default();
        for (index, group) in groups.iter().enumerate() {
            let header = group.headers().min_by_key(|name| headers.get(name));
            let param = group.asks.query.iter();
            let param = param.min_by_key(|name| query.get(name.as_str()));
            let list = match (header, param) {
                (Some(header), _) => names.headers.entry(header.clone()).or_default(),
                (None, Some(param)) => names.query.entry(param.clone()).or_default(),
                (None, None) => &mut names.others,
            };
            list.push(index);
        }
        names
    }

    /// The groups that a request has a name of, and those that ask for none.
    fn named(&self, view: &View<'_>) -> impl Iterator<Item = usize> {
        let by_header = view.headers.keys().filter_map(|it| self.headers.get(it));
        let params = (!self.query.is_empty()).then(|| view.query.names());
        let params = params.into_iter().flatten();
        let by_param = params.filter_map(|it| self.query.get(it));
        let named = by_header.chain(by_param).flatten();
        self.others.iter().chain(named).copied()
    }
}

impl Group {
    /// The headers that it asks for.
    fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.asks.headers.iter().chain(&self.asks.pattern)
    }
}
