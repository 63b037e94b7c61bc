//! Regular expressions side by side: tells which of them match a text, in one scan for many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_ir::REGEX_BYTES_MAX;
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use regex_syntax::hir::literal::Extractor;
use tracing::warn;

use super::steps;

/// Expressions of one scan. More would make states so large that the automaton is thrown away more than used.
const SCAN_MAX: usize = 64;

/// Expressions that must match a whole text, each with a value. Copies share the scans that they have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns<T> {
    scans: Vec<Arc<Scan<T>>>,
}

#[derive(Clone, Debug)]
enum Scan<T> {
    // Behind pointers, because a copy of an expression would make caches of its own.
    One(Arc<Regex>, T),
    Many(Arc<RegexSet>, Vec<T>),
}

impl<T> Patterns<T> {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.scans.is_empty()
    }

    /// The values of the expressions that match.
    pub(super) fn matching(&self, text: &str) -> impl Iterator<Item = &T> {
        self.scans.iter().flat_map(|scan| {
            steps::count();
            let (one, many) = match &**scan {
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

impl<T: Clone + Default> Patterns<T> {
    /// Changes the values of expressions; what is then vacant is an expression no more. Compiles no more scans than it has
    /// to. What does not compile although translation said so never matches.
    pub(super) fn edit<E>(
        &mut self,
        edits: Vec<(String, E)>,
        is_vacant: impl Fn(&T) -> bool,
        change: impl Fn(&mut T, E),
    ) {
        let mut edits: BTreeMap<String, E> = edits
            .into_iter()
            .map(|(text, edit)| (anchored(&text), edit))
            .collect();
        let mut broken = BTreeSet::new();
        for (index, scan) in self.scans.iter_mut().enumerate() {
            let texts = scan.members().map(|(text, _)| text).enumerate();
            let found: Vec<(usize, E)> = texts
                .filter_map(|(at, text)| Some((at, edits.remove(text)?)))
                .collect();
            for (at, edit) in found {
                if let Some(value) = Arc::make_mut(scan).value(at) {
                    change(value, edit);
                    if is_vacant(value) {
                        broken.insert(index);
                    }
                }
            }
        }
        let mut loose = Vec::new();
        for (text, edit) in edits {
            let mut value = T::default();
            change(&mut value, edit);
            loose.push((text, value));
        }
        if !broken.is_empty() || !loose.is_empty() {
            self.scan_anew(loose, &broken, is_vacant);
        }
    }

    /// Puts expressions into scans, and with them those of some scans that are not full.
    fn scan_anew(
        &mut self,
        mut loose: Vec<(String, T)>,
        broken: &BTreeSet<usize>,
        is_vacant: impl Fn(&T) -> bool,
    ) {
        let scans = std::mem::take(&mut self.scans);
        for (index, scan) in scans.into_iter().enumerate() {
            let has_room = scan.members().count() < SCAN_MAX && loose.len() < SCAN_MAX;
            if has_room || broken.contains(&index) {
                let members = scan.members();
                loose.extend(members.map(|(text, value)| (text.to_owned(), value.clone())));
            } else {
                self.scans.push(scan);
            }
        }
        loose.retain(|(_, value)| !is_vacant(value));
        let mut rest = loose.into_iter();
        loop {
            let part: Vec<(String, T)> = rest.by_ref().take(SCAN_MAX).collect();
            if part.is_empty() {
                return;
            }
            match set(&part) {
                Some(set) => {
                    let values = part.into_iter().map(|(_, value)| value);
                    let scan = Scan::Many(Arc::new(set), values.collect());
                    self.scans.push(Arc::new(scan));
                }
                None => self
                    .scans
                    .extend(part.into_iter().filter_map(|(text, value)| {
                        let regex = Arc::new(single(&text)?);
                        Some(Arc::new(Scan::One(regex, value)))
                    })),
            }
        }
    }
}

impl<T> Scan<T> {
    /// The expressions as they were compiled, with their values.
    fn members(&self) -> impl Iterator<Item = (&str, &T)> {
        let (one, many) = match self {
            Self::One(regex, value) => (Some((regex.as_str(), value)), None),
            Self::Many(set, values) => {
                let texts = set.patterns().iter().map(String::as_str);
                (None, Some(texts.zip(values)))
            }
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn value(&mut self, at: usize) -> Option<&mut T> {
        match self {
            Self::One(_, value) => Some(value),
            Self::Many(_, values) => values.get_mut(at),
        }
    }
}

/// Several expressions as one; none if there is only one, or if they are too large together.
fn set<T>(part: &[(String, T)]) -> Option<RegexSet> {
    if part.len() < 2 {
        return None;
    }
    RegexSetBuilder::new(part.iter().map(|(text, _)| text))
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .ok()
}

/// Compiles an expression that must match the whole text.
pub(super) fn whole(text: &str) -> Option<Regex> {
    single(&anchored(text))
}

fn single(anchored: &str) -> Option<Regex> {
    RegexBuilder::new(anchored)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .inspect_err(
            |error| warn!(%error, anchored, "a regular expression does not compile and never matches"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_that_matches_the_whole_text_is_found() {
        let mut texts: Vec<String> = (0..SCAN_MAX + 1)
            .map(|index| format!("/{index}x*"))
            .collect();
        texts.extend(["/[0-9]+x".to_owned(), "(".to_owned(), "/7.".to_owned()]);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let patterns = patterns(&texts);
        assert_eq!(found(&patterns, "/7x"), ["/7.", "/7x*", "/[0-9]+x"]);
        assert_eq!(found(&patterns, "/7xy"), [""; 0]);
    }

    /// Whatever comes and goes, what is left is found, and the scans stay as few as they can be but for one.
    #[test]
    fn expressions_come_and_go_without_those_that_stay() {
        let texts: Vec<String> = (0..3 * SCAN_MAX).map(|it| format!("/{it}x*")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut patterns = patterns(&texts);
        let before = patterns.clone();
        let kept: Vec<_> = patterns.scans.iter().map(Arc::as_ptr).collect();
        let set = |patterns: &mut Patterns<Option<String>>, text: &str, value: Option<&str>| {
            let edits = vec![(text.to_owned(), value.map(str::to_owned))];
            patterns.edit(edits, Option::is_none, |old, new| *old = new);
        };
        for text in ["/7x*", "/9x*"] {
            set(&mut patterns, text, None);
        }
        set(&mut patterns, "/8x*", Some("other"));
        set(&mut patterns, "/new", Some("new"));
        set(&mut patterns, "/never", None);
        assert_eq!(found(&patterns, "/7x"), [""; 0]);
        assert_eq!(found(&patterns, "/8xx"), ["other"]);
        assert_eq!(found(&patterns, "/new"), ["new"]);
        assert_eq!(found(&patterns, "/100x"), ["/100x*"]);
        assert_eq!(found(&before, "/7x"), ["/7x*"]);
        let still = patterns.scans.iter().map(Arc::as_ptr);
        assert!(still.filter(|scan| kept.contains(scan)).count() > 0);
        assert!(patterns.scans.len() <= 4, "{}", patterns.scans.len());
        for text in &texts {
            set(&mut patterns, text, None);
        }
        assert_eq!(patterns.scans.len(), 1);
        set(&mut patterns, "/new", None);
        assert!(patterns.is_empty());
    }

    fn patterns(texts: &[&str]) -> Patterns<Option<String>> {
        let mut patterns = Patterns::default();
        let edits = texts
            .iter()
            .map(|text| ((*text).to_owned(), (*text).to_owned()));
        patterns.edit(edits.collect(), Option::is_none, |value, text| {
            *value = Some(text);
        });
        patterns
    }

    /// The values of what matches, sorted.
    fn found<'p>(patterns: &'p Patterns<Option<String>>, text: &str) -> Vec<&'p str> {
        let mut found: Vec<&str> = patterns
            .matching(text)
            .flatten()
            .map(String::as_str)
            .collect();
        found.sort_unstable();
        found
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
            let together = patterns(&expressions);
            let start = std::time::Instant::now();
            let found = found(&together, subject);
            assert!(start.elapsed() < TIME_MAX);
            let alone = expressions.iter().filter(|it| {
                let regex = whole(it);
                regex.is_some_and(|regex| regex.is_match(subject))
            });
            let alone: BTreeSet<&str> = alone.copied().collect();
            let alone: Vec<&str> = alone.into_iter().collect();
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
