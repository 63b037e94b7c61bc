//! The conditions of a match beside its path: method, headers, query parameters.

use std::borrow::Cow;

use gateway_ir::{Match, ValueMatch};
use http::{HeaderMap, HeaderName, Method};
use regex::Regex;

use super::patterns::whole;
use super::view::View;

/// What must hold of a request besides its path.
#[derive(Debug)]
pub(super) struct Conditions {
    method: Option<Method>,
    headers: Vec<(HeaderName, Test)>,
    query: Vec<(String, Test)>,
}

impl Conditions {
    pub(super) fn new(matches: &Match) -> Self {
        let headers = matches.headers.iter();
        let query = matches.query.iter();
        Self {
            method: matches.method.clone(),
            headers: headers
                .map(|header| (header.name.clone(), Test::new(&header.value)))
                .collect(),
            query: query
                .map(|param| (param.name.clone(), Test::new(&param.value)))
                .collect(),
        }
    }

    /// The first condition that does not hold; nothing if all do.
    pub(super) fn unmet(&self, view: &View<'_>) -> Option<Unmet<'_>> {
        let method = self.method.as_ref();
        if method.is_some_and(|wanted| wanted != view.method) {
            return Some(Unmet::Method);
        }
        let header = self.headers.iter().find(|(name, test)| {
            !joined(view.headers, name).is_some_and(|value| test.holds(value.as_ref()))
        });
        if let Some((name, _)) = header {
            return Some(Unmet::Header(name));
        }
        let param = self.query.iter().find(|(name, test)| {
            let value = view.query.first(name);
            !value.is_some_and(|value| test.holds(value.as_bytes()))
        });
        param.map(|(name, _)| Unmet::Query(name))
    }
}

/// A condition that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmet<'c> {
    Method,
    Header(&'c HeaderName),
    Query(&'c str),
}

/// A header's value; several lines are one list with commas (RFC 9110 §5.3).
pub(super) fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    let mut list = Cow::Borrowed(first);
    for line in lines {
        let list = list.to_mut();
        list.push(b',');
        list.extend_from_slice(line.as_bytes());
    }
    Some(list)
}

/// A comparison with a value.
#[derive(Debug)]
enum Test {
    Exact(String),
    Regex(Regex),
    /// An expression that does not compile although translation said so: fails closed.
    Never,
}

impl Test {
    fn new(value: &ValueMatch) -> Self {
        match value {
            ValueMatch::Exact(text) => Self::Exact(text.clone()),
            ValueMatch::Regex(text) => whole(text).map_or(Self::Never, Self::Regex),
        }
    }

    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes() == value,
            Self::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text)),
            Self::Never => false,
        }
    }
}
