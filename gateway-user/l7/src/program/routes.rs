//! The compiled routing of one host name: finds the entry that a linear walk over the precedence order would find,
//! at a cost that does not grow with the number of paths.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_ir::{HostProgram, PathMatch};
use http::{HeaderMap, Method};
use regex::Regex;

use super::condition::{Conditions, whole};
use super::query::Query;
use super::rule::Rule;
use crate::session::SessionKey;
use crate::transport::{Destination, Transports};

/// What routing reads of a request; borrowed, so that any engine can make one.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) method: &'a Method,
    /// Canonical, see `request::Target`.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Query<'a>,
}

/// The routing of one host name.
#[derive(Debug)]
pub(crate) struct Routes {
    exact: HashMap<String, Vec<Candidate>>,
    prefix: HashMap<String, Vec<Candidate>>,
    /// The distinct lengths of the prefixes but `/`, longest first: bounds the lookups by the configuration, not by the path.
    prefix_lengths: Vec<usize>,
    /// In order of precedence.
    regex: Vec<(Regex, Candidate)>,
    /// Of all rules; may repeat.
    destinations: Vec<Destination>,
}

#[derive(Debug)]
struct Candidate {
    conditions: Conditions,
    rule: Arc<Rule>,
}

/// The rule of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'p> {
    pub(crate) rule: &'p Rule,
    /// How many bytes of the path the match's prefix takes; 0 for other kinds of matches.
    pub(crate) prefix: usize,
}

impl Routes {
    pub(super) fn new(
        program: &HostProgram,
        transports: &mut Transports,
        key: &SessionKey,
    ) -> Self {
        let mut routes = Self {
            exact: HashMap::new(),
            prefix: HashMap::new(),
            prefix_lengths: Vec::new(),
            regex: Vec::new(),
            destinations: Vec::new(),
        };
        let mut rules = HashMap::new();
        // Entries come in order of precedence, so each list of candidates is in that order too.
        for entry in program.entries() {
            let rule: &mut Arc<Rule> = rules
                .entry(Arc::as_ptr(&entry.rule))
                .or_insert_with(|| Arc::new(Rule::new(&entry.rule, transports, key)));
            let candidate = Candidate {
                conditions: Conditions::new(&entry.matches),
                rule: Arc::clone(rule),
            };
            match &entry.matches.path {
                PathMatch::Exact(path) => {
                    let list = routes.exact.entry(path.clone()).or_default();
                    list.push(candidate);
                }
                PathMatch::Prefix(prefix) => {
                    let list = routes.prefix.entry(prefix.clone()).or_default();
                    list.push(candidate);
                    if !prefix.is_empty() {
                        routes.prefix_lengths.push(prefix.len());
                    }
                }
                PathMatch::Regex(text) => {
                    if let Some(regex) = whole(text) {
                        routes.regex.push((regex, candidate));
                    }
                }
            }
        }
        routes
            .prefix_lengths
            .sort_unstable_by_key(|length| std::cmp::Reverse(*length));
        routes.prefix_lengths.dedup();
        routes.destinations = rules
            .into_values()
            .flat_map(|rule| rule.destinations().cloned().collect::<Vec<_>>())
            .collect();
        routes
    }

    /// Where the rules lead to; may repeat.
    pub(super) fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// The entry that is first in precedence among those that match.
    pub(crate) fn find<'s>(&'s self, view: &View<'_>) -> Option<Found<'s>> {
        let whole = |rule| Found { rule, prefix: 0 };
        self.exact
            .get(view.path)
            .and_then(|candidates| first(candidates, view))
            .map(whole)
            .or_else(|| {
                let mut lengths = self.prefix_lengths.iter();
                lengths.find_map(|length| self.by_prefix(*length, view))
            })
            .or_else(|| self.by_regex(view).map(whole))
            // The prefix `/` says nothing of the path, so it is behind everything that does.
            .or_else(|| self.by_prefix(0, view))
    }

    fn by_prefix<'s>(&'s self, length: usize, view: &View<'_>) -> Option<Found<'s>> {
        let candidates = self.prefix.get(elements(view.path, length)?)?;
        let rule = first(candidates, view)?;
        Some(Found {
            rule,
            prefix: length,
        })
    }

    fn by_regex<'s>(&'s self, view: &View<'_>) -> Option<&'s Rule> {
        let (_, candidate) = self
            .regex
            .iter()
            .find(|(regex, candidate)| regex.is_match(view.path) && candidate.holds(view))?;
        Some(&candidate.rule)
    }
}

impl Candidate {
    fn holds(&self, view: &View<'_>) -> bool {
        let unmet = self
            .conditions
            .unmet(view.method, view.headers, &view.query);
        unmet.is_none()
    }
}

fn first<'a>(candidates: &'a [Candidate], view: &View<'_>) -> Option<&'a Rule> {
    let candidate = candidates.iter().find(|candidate| candidate.holds(view))?;
    Some(&candidate.rule)
}

/// The first `length` bytes of a path if these are whole path elements.
pub(super) fn elements(path: &str, length: usize) -> Option<&str> {
    let whole = path.len() == length || path.as_bytes().get(length) == Some(&b'/');
    if whole { path.get(..length) } else { None }
}

#[cfg(test)]
mod tests;
