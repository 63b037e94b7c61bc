//! The conditions of a match beside its path: method, headers, query parameters.

use std::borrow::Cow;
use std::sync::Arc;

use gateway_ir::{Entry, ValueMatch};
use http::{HeaderMap, HeaderName};
use regex::Regex;

use super::patterns::whole;
use super::view::View;

/// What must hold of a request besides its path.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    entry: Arc<Entry>,
    /// Those of the headers, then those of the query. None: there are none.
    expressions: Option<Arc<[Expression]>>,
}

/// None: it does not compile although translation said so, and fails closed.
type Expression = Option<Regex>;

impl Conditions {
    pub(super) fn new(entry: &Arc<Entry>) -> Self {
        let headers = entry.matches.headers.iter().map(|it| &it.value);
        let query = entry.matches.query.iter().map(|it| &it.value);
        let expressions = headers.chain(query).filter_map(|value| match value {
            ValueMatch::Exact(_) => None,
            ValueMatch::Regex(text) => Some(whole(text)),
        });
        let expressions: Vec<Expression> = expressions.collect();
        Self {
            entry: Arc::clone(entry),
            expressions: (!expressions.is_empty()).then(|| expressions.into()),
        }
    }

    /// Whose conditions they are.
    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The first condition that does not hold; nothing if all do.
    pub(super) fn unmet(&self, view: &View<'_>) -> Option<Unmet<'_>> {
        let matches = &self.entry.matches;
        let method = matches.method.as_ref();
        if method.is_some_and(|wanted| wanted != view.method) {
            return Some(Unmet::Method);
        }
        let mut expressions = self.expressions.iter().flat_map(|all| all.iter());
        let mut holds = |wanted: &ValueMatch, value: &[u8]| match wanted {
            ValueMatch::Exact(text) => text.as_bytes() == value,
            ValueMatch::Regex(_) => {
                let regex = expressions.next().and_then(Option::as_ref);
                let text = std::str::from_utf8(value).ok();
                regex.zip(text).is_some_and(|(it, text)| it.is_match(text))
            }
        };
        let header = matches.headers.iter().find(|header| {
            let value = joined(view.headers, &header.name);
            !value.is_some_and(|value| holds(&header.value, value.as_ref()))
        });
        if let Some(header) = header {
            return Some(Unmet::Header(&header.name));
        }
        let param = matches.query.iter().find(|param| {
            let value = view.query.first(&param.name);
            !value.is_some_and(|value| holds(&param.value, value.as_bytes()))
        });
        param.map(|param| Unmet::Query(&param.name))
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
