//! Regular expressions side by side: tells which of them match a text, in one scan for many.

use std::collections::HashMap;
use std::hash::Hash;

use gateway_ir::REGEX_BYTES_MAX;
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use regex_syntax::hir::literal::Extractor;
use tracing::warn;

use super::steps;

/// Expressions of one scan. More would make states so large that the automaton is thrown away more than used.
const SCAN_MAX: usize = 64;

/// Expressions that must match a whole text, each with a value.
#[derive(Debug, Default)]
pub(super) struct Patterns<T> {
    scans: Vec<Scan<T>>,
}

#[derive(Debug)]
enum Scan<T> {
    One(Regex, T),
    Many(RegexSet, Vec<T>),
}

impl<T> Patterns<T> {
    /// Compiles expressions; what does not compile although translation said so never matches.
    pub(super) fn new(patterns: Vec<(String, T)>) -> Self {
        let mut scans = Vec::new();
        let mut rest = patterns.into_iter();
        loop {
            let part: Vec<(String, T)> = rest.by_ref().take(SCAN_MAX).collect();
            if part.is_empty() {
                return Self { scans };
            }
            match set(&part) {
                Some(set) => {
                    let values = part.into_iter().map(|(_, value)| value);
                    scans.push(Scan::Many(set, values.collect()));
                }
                None => scans.extend(
                    part.into_iter()
                        .filter_map(|(text, value)| Some(Scan::One(whole(&text)?, value))),
                ),
            }
        }
    }

    /// The values of the expressions that match, in their order.
    pub(super) fn matching(&self, text: &str) -> impl Iterator<Item = &T> {
        self.scans.iter().flat_map(|scan| {
            steps::count();
            let (one, many) = match scan {
                Scan::One(regex, value) => (regex.is_match(text).then_some(value), None),
                Scan::Many(set, values) => {
                    let matches = set.matches(text).into_iter();
                    (None, Some(matches.filter_map(|index| values.get(index))))
                }
            };
            one.into_iter().chain(many.into_iter().flatten())
        })
    }
}

/// Several expressions as one; none if there is only one, or if they are too large together.
fn set<T>(part: &[(String, T)]) -> Option<RegexSet> {
    if part.len() < 2 {
        return None;
    }
    RegexSetBuilder::new(part.iter().map(|(text, _)| anchored(text)))
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .ok()
}

/// Compiles an expression that must match the whole text.
pub(super) fn whole(text: &str) -> Option<Regex> {
    RegexBuilder::new(&anchored(text))
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .inspect_err(
            |error| warn!(%error, text, "a regular expression does not compile and never matches"),
        )
        .ok()
}

fn anchored(text: &str) -> String {
    format!(r"\A(?:{text})\z")
}

/// The path elements that every path starts with which an expression can match: `/a/b` for `/a/b/[0-9]+`.
pub(super) fn fixed_elements(text: &str) -> String {
    let prefix = regex_syntax::parse(text).ok().and_then(|expression| {
        let literals = Extractor::new().extract(&expression);
        let common = literals.longest_common_prefix()?;
        String::from_utf8(common.to_vec()).ok()
    });
    // What is behind the last slash may go on.
    let fixed = prefix.as_deref().and_then(|prefix| prefix.rsplit_once('/'));
    fixed.map_or_else(String::new, |(elements, _)| elements.to_owned())
}

/// Puts values with the same key together, in the order in which the keys first came.
pub(super) fn gather<K: Clone + Eq + Hash, V>(
    values: impl IntoIterator<Item = (K, V)>,
) -> Vec<(K, Vec<V>)> {
    let mut gathered: Vec<(K, Vec<V>)> = Vec::new();
    let mut places = HashMap::new();
    for (key, value) in values {
        let place = *places.entry(key.clone()).or_insert(gathered.len());
        match gathered.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => gathered.push((key, vec![value])),
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_that_matches_the_whole_text_is_found_in_order() {
        let mut texts: Vec<String> = (0..SCAN_MAX + 1)
            .map(|index| format!("/{index}x*"))
            .collect();
        texts.extend(["/[0-9]+x".to_owned(), "(".to_owned(), "/7.".to_owned()]);
        let patterns = texts.iter().map(|text| (text.clone(), text.clone()));
        let patterns = Patterns::new(patterns.collect());
        let found: Vec<_> = patterns.matching("/7x").collect();
        assert_eq!(found, ["/7x*", "/[0-9]+x", "/7."]);
        assert_eq!(patterns.matching("/7xy").count(), 0);
    }

    /// The first line is a text, the others are expressions: side by side they match what each matches by itself, in time
    /// that the text's length bounds.
    #[test]
    fn any_expressions_match_together_what_they_match_alone() {
        const TIME_MAX: std::time::Duration = std::time::Duration::from_secs(2);
        let seeds: [&[u8]; 4] = [
            b"/a/b\n/a/.*\n/[ab]/b\n/a",
            b"/aaaaaaaaaaaaaaaaaaaaaaaa!\n/(a+)+\n/(a|aa)*b",
            b"/x\n(?i)/X\n\\S+",
            b"\n\n.*",
        ];
        let pieces: [&[u8]; 16] = [
            b"\n", b"(", b")", b"|", b"*", b"+", b"?", b".", b"[^", b"]", b"{2,9}", b"(?i)",
            b"\\d", b"\\b", b"/a", b"^",
        ];
        crate::fuzz::fuzz(&seeds, &pieces, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let mut lines = text.lines();
            let subject = lines.next().unwrap_or_default();
            let expressions: Vec<&str> = lines.take(8).collect();
            let values = expressions.iter().map(|it| ((*it).to_owned(), *it));
            let together = Patterns::new(values.collect());
            let start = std::time::Instant::now();
            let found: Vec<&str> = together.matching(subject).copied().collect();
            assert!(start.elapsed() < TIME_MAX);
            let alone = expressions.iter().filter(|it| {
                let regex = whole(it);
                regex.is_some_and(|regex| regex.is_match(subject))
            });
            let alone: Vec<&str> = alone.copied().collect();
            assert_eq!(found, alone, "{subject:?}");
            for expression in &found {
                let fixed = fixed_elements(expression);
                let rest = subject.strip_prefix(&fixed);
                let rest = rest.unwrap_or_else(|| panic!("{expression:?} fixes {fixed:?}"));
                assert!(
                    fixed.is_empty() || rest.is_empty() || rest.starts_with('/'),
                    "{fixed:?}"
                );
            }
            let compiled = expressions.iter().filter(|it| whole(it).is_some());
            (found.len(), compiled.count(), expressions.len())
        });
    }

    #[test]
    fn fixed_elements_are_in_front_of_everything_that_matches() {
        for (text, fixed) in [
            ("/a/b/[0-9]+", "/a/b"),
            ("/a/b", "/a"),
            ("/a/b/", "/a/b"),
            ("^/a/b/.*$", "/a/b"),
            ("/a/(b|c)/d", "/a"),
            ("(/a/x|/a/y)/z", "/a"),
            ("/a/*", ""),
            ("/a/?b", ""),
            ("(?i)/a/b", ""),
            ("/a/b|.*", ""),
            (".*", ""),
            ("/a/é/x.*", "/a/é"),
            ("(", ""),
        ] {
            assert_eq!(fixed_elements(text), fixed, "{text}");
        }
    }
}
