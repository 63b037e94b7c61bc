//! The candidates of one path: finds the first in order of precedence whose conditions hold, without asking them one
//! after the other.
//!
//! Candidates that ask for the same facts (the method, these headers, those parameters) form a group, and a group finds
//! its candidates by the values of these facts. Values only narrow the choice: a candidate that is given was asked.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use gateway_ir::{Match, ValueMatch};
use http::HeaderName;

use super::condition::{Conditions, joined};
use super::patterns::{Patterns, gather};
use super::rule::Rule;
use super::steps;
use super::view::View;

/// Groups that are asked one after the other; of more only those that the request has a name for.
const GROUPS_ASKED_MAX: usize = 4;

/// A match, its path left out.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Among the entries of the host; less is first.
    pub(super) position: usize,
    pub(super) conditions: Conditions,
    pub(super) rule: Arc<Rule>,
}

impl Candidate {
    fn holds(&self, view: &View<'_>) -> bool {
        steps::count();
        self.conditions.unmet(view).is_none()
    }
}

/// All candidates of one path.
#[derive(Debug, Default)]
pub(super) struct Choices {
    groups: Vec<Group>,
    /// Only where there are many groups.
    names: Option<Box<Names>>,
}

impl Choices {
    /// Takes candidates with their matches, in order of precedence.
    pub(super) fn new(candidates: Vec<(&Match, Candidate)>) -> Self {
        let candidates = candidates.into_iter();
        let asked = candidates.map(|(matches, it)| (Asks::of(matches), (matches, it)));
        let groups = gather(asked).into_iter();
        let groups: Vec<Group> = groups.map(|(asks, of)| Group::new(asks, of)).collect();
        Self {
            names: (groups.len() > GROUPS_ASKED_MAX).then(|| Box::new(Names::new(&groups))),
            groups,
        }
    }

    /// The first candidate that holds.
    pub(super) fn first(&self, view: &View<'_>) -> Option<&Candidate> {
        match &self.names {
            None => {
                let groups = self.groups.iter();
                groups.fold(None, |best, group| group.better(best, view))
            }
            Some(names) => {
                let named = names.named(view);
                let groups = named.filter_map(|index| self.groups.get(index));
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
        !self.method && self.headers.is_empty() && self.query.is_empty()
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
#[derive(Debug)]
struct Group {
    /// The position of its first candidate.
    first: usize,
    asks: Asks,
    answers: Answers,
}

#[derive(Debug)]
enum Answers {
    /// Nothing is asked for.
    Any(Bucket),
    /// By the hash of the values.
    Some(RandomState, HashMap<u64, Bucket>),
}

/// The candidates that want the same values.
#[derive(Debug)]
enum Bucket {
    Plain(Vec<Candidate>),
    /// By the expression for this header.
    Patterns(HeaderName, Patterns<Vec<Candidate>>),
}

impl Group {
    fn new(asks: Asks, candidates: Vec<(&Match, Candidate)>) -> Self {
        let first = candidates.first().map_or(0, |(_, it)| it.position);
        let header = asks.pattern.as_ref();
        let answers = if asks.is_nothing() {
            Answers::Any(Bucket::new(header, candidates))
        } else {
            let state = RandomState::new();
            let candidates = candidates.into_iter();
            let answered = candidates.map(|it| (answer(it.0, &state), it));
            let buckets = gather(answered).into_iter();
            let buckets = buckets.map(|(answer, of)| (answer, Bucket::new(header, of)));
            let buckets = buckets.collect();
            Answers::Some(state, buckets)
        };
        Self {
            first,
            asks,
            answers,
        }
    }

    /// The best of what there is already and what the group has.
    fn better<'c>(&'c self, best: Option<&'c Candidate>, view: &View<'_>) -> Option<&'c Candidate> {
        if best.is_some_and(|best| best.position < self.first) {
            return best;
        }
        steps::count();
        let bucket = match &self.answers {
            Answers::Any(bucket) => Some(bucket),
            Answers::Some(state, buckets) => {
                let answer = self.asks.answered_by(view, state);
                answer.and_then(|answer| buckets.get(&answer))
            }
        };
        let found = bucket.and_then(|bucket| bucket.first(view));
        best.into_iter().chain(found).min_by_key(|it| it.position)
    }
}

impl Bucket {
    fn new(header: Option<&HeaderName>, candidates: Vec<(&Match, Candidate)>) -> Self {
        let candidates = candidates.into_iter();
        match header {
            None => Self::Plain(candidates.map(|(_, it)| it).collect()),
            Some(header) => {
                let patterns = candidates.map(|(matches, it)| {
                    let text = pattern(matches).map_or("", |(_, text)| text);
                    (text.to_owned(), it)
                });
                Self::Patterns(header.clone(), Patterns::new(gather(patterns)))
            }
        }
    }

    fn first(&self, view: &View<'_>) -> Option<&Candidate> {
        let holds = |candidate: &&Candidate| candidate.holds(view);
        match self {
            Self::Plain(candidates) => candidates.iter().find(holds),
            Self::Patterns(header, patterns) => {
                let value = joined(view.headers, header)?;
                let value = std::str::from_utf8(&value).ok()?;
                let matching = patterns.matching(value);
                let firsts = matching.filter_map(|of| of.iter().find(holds));
                firsts.min_by_key(|it| it.position)
            }
        }
    }
}

/// Which groups can have a match in a request that has a name; positions in [`Choices::groups`].
#[derive(Debug, Default)]
struct Names {
    headers: HashMap<HeaderName, Vec<usize>>,
    query: HashMap<String, Vec<usize>>,
    /// Those that ask for no name.
    others: Vec<usize>,
}

impl Names {
    /// Puts each group under the one of its names that the fewest groups have.
    fn new(groups: &[Group]) -> Self {
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
