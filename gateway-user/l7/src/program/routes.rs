//! The compiled routing of one host name: finds the entry that a linear walk over the precedence order would find, at a
//! cost that does not grow with the number of routes.

use gateway_ir::{Match, PathMatch};

use super::candidates::{Candidate, Edits};
use super::choices::Choices;
use super::path_tree::{PathTree, Way};
use super::patterns::{Patterns, fixed_elements};
use super::rule::Rule;
use super::view::View;

/// The routing of one host name. Copies share what they have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    paths: PathTree<Place>,
}

/// What there is at one path.
#[derive(Clone, Debug, Default)]
struct Place {
    exact: Choices,
    /// For the path and everything below it.
    prefix: Choices,
    /// The expressions whose matches are all below this path; none: there are none.
    patterns: Option<Box<Patterns<Choices>>>,
}

/// The rule of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'p> {
    pub(crate) rule: &'p Rule,
    /// How many bytes of the path the match's prefix takes; 0 for other kinds of matches.
    pub(crate) prefix: usize,
}

impl Routes {
    /// Takes matches out and in. What that costs depends on their number, not on how many there are.
    pub(super) fn edit(&mut self, edits: Edits) {
        let sites = edits.apart(site);
        for (path, edits) in sites {
            let is_vacant = Place::is_empty;
            self.paths.edit(&path, is_vacant, |place| place.edit(edits));
        }
    }

    /// Whether no request is matched.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.paths.root().is_empty()
    }

    /// The entry that is first in precedence among those that match.
    pub(crate) fn find<'s>(&'s self, view: &View<'_>) -> Option<Found<'s>> {
        let way = self.paths.walk(view.path);
        let exact = way.whole().and_then(|place| place.exact.first(view));
        let candidate = match exact {
            Some(candidate) => candidate,
            None => match by_prefix(&way, view) {
                Some(found) => return Some(found),
                None => by_pattern(&way, view).or_else(|| self.by_any_path(view))?,
            },
        };
        Some(Found {
            rule: &candidate.rule,
            prefix: 0,
        })
    }

    /// The prefix `/` says nothing of the path, so it is behind everything that does.
    fn by_any_path(&self, view: &View<'_>) -> Option<&Candidate> {
        let is_path = view.path.starts_with('/');
        is_path.then(|| self.paths.root().prefix.first(view))?
    }
}

/// The longest prefix with a candidate that holds, `/` left out.
fn by_prefix<'s>(way: &Way<'s, Place>, view: &View<'_>) -> Option<Found<'s>> {
    let mut up = way.up().filter(|(length, _)| *length > 0);
    up.find_map(|(length, place)| {
        let candidate = place.prefix.first(view)?;
        Some(Found {
            rule: &candidate.rule,
            prefix: length,
        })
    })
}

fn by_pattern<'s>(way: &Way<'s, Place>, view: &View<'_>) -> Option<&'s Candidate> {
    let patterns = way.up().filter_map(|(_, place)| place.patterns.as_ref());
    let matching = patterns.flat_map(|patterns| patterns.matching(view.path));
    let firsts = matching.filter_map(|choices| choices.first(view));
    firsts.min_by(|one, other| one.precedence().cmp(other.precedence()))
}

/// The path that a match is put to. A path of a request starts with a slash; a match of another path has no request.
fn site(matches: &Match) -> String {
    match &matches.path {
        PathMatch::Exact(path) | PathMatch::Prefix(path) => path.clone(),
        PathMatch::Regex(text) => fixed_elements(text),
    }
}

/// How a match compares the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Exact,
    Prefix,
    Pattern,
}

impl Place {
    fn is_empty(&self) -> bool {
        let Self {
            exact,
            prefix,
            patterns,
        } = self;
        exact.is_empty() && prefix.is_empty() && patterns.is_none()
    }

    fn edit(&mut self, edits: Edits) {
        for (kind, edits) in edits.apart(kind) {
            match kind {
                Kind::Exact => self.exact.edit(edits),
                Kind::Prefix => self.prefix.edit(edits),
                Kind::Pattern => {
                    let mut patterns = self.patterns.take().unwrap_or_default();
                    patterns.edit(edits.apart(expression), Choices::is_empty, Choices::edit);
                    self.patterns = (!patterns.is_empty()).then_some(patterns);
                }
            }
        }
    }
}

fn kind(matches: &Match) -> Kind {
    match matches.path {
        PathMatch::Exact(_) => Kind::Exact,
        PathMatch::Prefix(_) => Kind::Prefix,
        PathMatch::Regex(_) => Kind::Pattern,
    }
}

fn expression(matches: &Match) -> String {
    match &matches.path {
        PathMatch::Exact(_) | PathMatch::Prefix(_) => String::new(),
        PathMatch::Regex(text) => text.clone(),
    }
}

/// The first `length` bytes of a path if these are whole path elements.
pub(super) fn elements(path: &str, length: usize) -> Option<&str> {
    let whole = path.len() == length || path.as_bytes().get(length) == Some(&b'/');
    if whole { path.get(..length) } else { None }
}

#[cfg(test)]
mod tests;
