//! One match by itself, for explanations: `Routes::find` takes the same steps, but not one match after the other.

use gateway_ir::{HostProgram, Match, PathMatch};
use regex::Regex;

use super::condition::{Conditions, Unmet};
use super::patterns::whole;
use super::routes::elements;
use super::view::View;

/// A compiled match.
#[derive(Debug)]
pub(crate) struct Single {
    path: Path,
    conditions: Conditions,
}

#[derive(Debug)]
enum Path {
    Exact(String),
    Prefix(String),
    /// None: it does not compile and never matches.
    Regex(Option<Regex>),
}

impl Single {
    /// The matches of a host, in its order.
    pub(crate) fn all(program: &HostProgram) -> Vec<Self> {
        let entries = program.entries();
        entries.map(|entry| Self::new(&entry.matches)).collect()
    }

    fn new(matches: &Match) -> Self {
        Self {
            path: match &matches.path {
                PathMatch::Exact(path) => Path::Exact(path.clone()),
                PathMatch::Prefix(prefix) => Path::Prefix(prefix.clone()),
                PathMatch::Regex(text) => Path::Regex(whole(text)),
            },
            conditions: Conditions::new(matches),
        }
    }

    /// Why the match does not apply to a request; nothing if it does.
    pub(crate) fn why_not(&self, view: &View<'_>) -> Option<WhyNot> {
        let covered = match &self.path {
            Path::Exact(path) => path == view.path,
            Path::Prefix(prefix) => elements(view.path, prefix.len()) == Some(prefix),
            Path::Regex(regex) => regex.as_ref().is_some_and(|it| it.is_match(view.path)),
        };
        if !covered {
            return Some(WhyNot::Path);
        }
        let unmet = self.conditions.unmet(view)?;
        Some(match unmet {
            Unmet::Method => WhyNot::Method,
            Unmet::Header(name) => WhyNot::Header(name.as_str().to_owned()),
            Unmet::Query(name) => WhyNot::Query(name.to_owned()),
        })
    }
}

/// Why a match does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WhyNot {
    Path,
    Method,
    Header(String),
    Query(String),
}
