//! The compiled routing of one host name: finds the entry that a linear walk over the precedence order would find, at a
//! cost that does not grow with the number of routes.

use std::collections::HashSet;
use std::sync::Arc;

use gateway_ir::{HostProgram, Match, PathMatch};

use super::choices::{Candidate, Choices};
use super::condition::Conditions;
use super::path_tree::{PathTree, Reached};
use super::patterns::{Patterns, fixed_elements, gather};
use super::rule::{Rule, Rules};
use super::view::View;
use crate::transport::Destination;

/// The routing of one host name.
#[derive(Debug)]
pub(crate) struct Routes {
    paths: PathTree<Place>,
    /// Of all rules; may repeat.
    destinations: Vec<Destination>,
}

/// What there is at one path.
#[derive(Debug, Default)]
struct Place {
    exact: Choices,
    /// For the path and everything below it.
    prefix: Choices,
    /// The expressions whose matches are all below this path.
    patterns: Patterns<Choices>,
}

/// A place while candidates are added to it.
#[derive(Debug, Default)]
struct Site<'m> {
    exact: Vec<(&'m Match, Candidate)>,
    prefix: Vec<(&'m Match, Candidate)>,
    patterns: Vec<(String, (&'m Match, Candidate))>,
}

/// The rule of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'p> {
    pub(crate) rule: &'p Rule,
    /// How many bytes of the path the match's prefix takes; 0 for other kinds of matches.
    pub(crate) prefix: usize,
}

impl Routes {
    pub(super) fn new(program: &HostProgram, rules: &mut Rules) -> Self {
        let mut sites = PathTree::<Site<'_>>::new();
        let mut used = HashSet::new();
        let mut destinations = Vec::new();
        // Entries come in order of precedence, so each list of candidates is in that order too.
        for (position, entry) in program.entries().enumerate() {
            let matches = &entry.matches;
            let rule = rules.compile(&entry.rule);
            if used.insert(Arc::as_ptr(&rule)) {
                destinations.extend(rule.destinations().cloned());
            }
            let candidate = Candidate {
                position,
                conditions: Conditions::new(matches),
                rule,
            };
            add(&mut sites, matches, candidate);
        }
        Self {
            paths: sites.map(Site::close),
            destinations,
        }
    }

    /// Where the rules lead to; may repeat.
    pub(super) fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// The entry that is first in precedence among those that match.
    pub(crate) fn find<'s>(&'s self, view: &View<'_>) -> Option<Found<'s>> {
        let reached = self.paths.walk(view.path);
        let exact = self.paths.at(reached).filter(|_| reached.whole);
        let exact = exact.and_then(|place| place.exact.first(view));
        let candidate = match exact {
            Some(candidate) => candidate,
            None => match self.by_prefix(reached, view) {
                Some(found) => return Some(found),
                None => self
                    .by_pattern(reached, view)
                    .or_else(|| self.by_any_path(view))?,
            },
        };
        Some(Found {
            rule: &candidate.rule,
            prefix: 0,
        })
    }

    /// The longest prefix with a candidate that holds, `/` left out.
    fn by_prefix<'s>(&'s self, reached: Reached, view: &View<'_>) -> Option<Found<'s>> {
        let mut way = self.paths.up(reached).filter(|(length, _)| *length > 0);
        way.find_map(|(length, place)| {
            let candidate = place.prefix.first(view)?;
            Some(Found {
                rule: &candidate.rule,
                prefix: length,
            })
        })
    }

    fn by_pattern(&self, reached: Reached, view: &View<'_>) -> Option<&Candidate> {
        let way = self.paths.up(reached);
        let matching = way.flat_map(|(_, place)| place.patterns.matching(view.path));
        let firsts = matching.filter_map(|choices| choices.first(view));
        firsts.min_by_key(|candidate| candidate.position)
    }

    /// The prefix `/` says nothing of the path, so it is behind everything that does.
    fn by_any_path(&self, view: &View<'_>) -> Option<&Candidate> {
        let root = view.path.starts_with('/').then(|| self.paths.root())?;
        root?.prefix.first(view)
    }
}

/// Puts a candidate to its path. A path of a request starts with a slash; a match of another path has no request.
fn add<'m>(sites: &mut PathTree<Site<'m>>, matches: &'m Match, candidate: Candidate) {
    let candidate = (matches, candidate);
    match &matches.path {
        PathMatch::Exact(path) => {
            if let Some(site) = sites.entry(path) {
                site.exact.push(candidate);
            }
        }
        PathMatch::Prefix(path) => {
            if let Some(site) = sites.entry(path) {
                site.prefix.push(candidate);
            }
        }
        PathMatch::Regex(text) => {
            if let Some(site) = sites.entry(&fixed_elements(text)) {
                site.patterns.push((text.clone(), candidate));
            }
        }
    }
}

impl Site<'_> {
    fn close(self) -> Place {
        let patterns = gather(self.patterns).into_iter();
        let patterns = patterns.map(|(text, of)| (text, Choices::new(of)));
        Place {
            exact: Choices::new(self.exact),
            prefix: Choices::new(self.prefix),
            patterns: Patterns::new(patterns.collect()),
        }
    }
}

/// The first `length` bytes of a path if these are whole path elements.
pub(super) fn elements(path: &str, length: usize) -> Option<&str> {
    let whole = path.len() == length || path.as_bytes().get(length) == Some(&b'/');
    if whole { path.get(..length) } else { None }
}

#[cfg(test)]
mod tests;
