//! One match by itself, for explanations: `Routes::find` takes the same steps, but not one match after the other.

use std::sync::Arc;

use gateway_ir::{Entry, HostProgram, PathMatch};
use regex::Regex;

use super::condition::{Conditions, Unmet};
use super::patterns::whole;
use super::routes::elements;
use super::view::View;

/// A compiled match.
#[derive(Debug)]
pub(crate) struct Single {
    conditions: Conditions,
    /// Of a path that is one; none: it does not compile and never matches.
    expression: Option<Regex>,
}

impl Single {
    /// The matches of a host, in its order.
    pub(crate) fn all(program: &HostProgram) -> Vec<Self> {
        program.entries().map(Self::new).collect()
    }

    fn new(entry: &Arc<Entry>) -> Self {
        Self {
            conditions: Conditions::new(entry),
            expression: match &entry.matches.path {
                PathMatch::Exact(_) | PathMatch::Prefix(_) => None,
                PathMatch::Regex(text) => whole(text),
            },
        }
    }

    /// Why the match does not apply to a request; nothing if it does.
    pub(crate) fn why_not(&self, view: &View<'_>) -> Option<WhyNot> {
        let covered = match &self.conditions.entry().matches.path {
            PathMatch::Exact(path) => path == view.path,
            PathMatch::Prefix(prefix) => elements(view.path, prefix.len()) == Some(prefix),
            PathMatch::Regex(_) => {
                let expression = self.expression.as_ref();
                expression.is_some_and(|it| it.is_match(view.path))
            }
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
