//! Lookup of host patterns: exact names first, then wildcards from the longest, then the pattern that covers all.

use gateway_ir::HostPattern;

use super::trie::Trie;

/// Values by host pattern; copies share what they have in common.
#[derive(Clone, Debug)]
pub(crate) struct HostIndex<T> {
    exact: Trie<Box<str>, T>,
    wildcard: Trie<Box<str>, T>,
    any: Option<T>,
}

impl<T> Default for HostIndex<T> {
    fn default() -> Self {
        Self {
            exact: Trie::default(),
            wildcard: Trie::default(),
            any: None,
        }
    }
}

impl<T: Clone> HostIndex<T> {
    /// Indexes patterns; of equal patterns the first stays.
    pub(crate) fn new(patterns: impl IntoIterator<Item = (HostPattern, T)>) -> Self {
        let mut index = Self::default();
        for (pattern, value) in patterns {
            if index.get(&pattern).is_none() {
                index.set(pattern, value);
            }
        }
        index
    }

    /// Sets the value of a pattern.
    pub(crate) fn set(&mut self, pattern: HostPattern, value: T) {
        match pattern {
            HostPattern::Exact(name) => set(&mut self.exact, name, value),
            HostPattern::Wildcard(suffix) => set(&mut self.wildcard, suffix, value),
            HostPattern::Any => self.any = Some(value),
        }
    }

    /// Takes a pattern out.
    pub(crate) fn remove(&mut self, pattern: &HostPattern) {
        match pattern {
            HostPattern::Exact(name) => self.exact.remove(name.as_str()),
            HostPattern::Wildcard(suffix) => self.wildcard.remove(suffix.as_str()),
            HostPattern::Any => self.any = None,
        }
    }
}

fn set<T: Clone>(names: &mut Trie<Box<str>, T>, name: String, value: T) {
    let place = names.entry(name.into_boxed_str(), || value.clone());
    *place = value;
}

impl<T> HostIndex<T> {
    /// The value of a pattern itself.
    pub(crate) fn get(&self, pattern: &HostPattern) -> Option<&T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name.as_str()),
            HostPattern::Wildcard(suffix) => self.wildcard.get(suffix.as_str()),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// The values of all patterns that cover a host, the most specific first. Takes as many lookups as the host has labels.
    pub(crate) fn covering<'s>(&'s self, host: &str) -> impl Iterator<Item = &'s T> {
        let exact = self.exact.get(host);
        let wildcards = host
            .match_indices('.')
            // A wildcard stands for at least one label, so not for nothing in front of a dot.
            .filter(|(dot, _)| *dot > 0 && !self.wildcard.is_empty())
            .filter_map(|(dot, _)| self.wildcard.get(host.get(dot + 1..)?));
        exact.into_iter().chain(wildcards).chain(&self.any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_exact_then_longest_wildcard_then_any() {
        let index = index(&["*", "*.example.com", "*.a.example.com", "x.a.example.com"]);
        for (host, expected) in [
            (
                "x.a.example.com",
                &["x.a.example.com", "*.a.example.com", "*.example.com", "*"][..],
            ),
            (
                "y.a.example.com",
                &["*.a.example.com", "*.example.com", "*"],
            ),
            ("a.example.com", &["*.example.com", "*"]),
            ("example.com", &["*"]),
            (".example.com", &["*"]),
        ] {
            let found: Vec<_> = index.covering(host).map(ToString::to_string).collect();
            assert_eq!(found, expected, "{host}");
        }
    }

    /// The first line is a host, the others are patterns; what is none is left out.
    #[test]
    fn any_host_is_covered_by_what_matches_it() {
        let seeds: [&[u8]; 3] = [
            b"a.b\na.b\n*.b\n*",
            b"x.a.example.com\n*.example.com\n*.a.example.com\n*",
            b"\n*",
        ];
        let pieces: [&[u8]; 8] = [b"\n", b".", b"*.", b"*", b"a", b"b", b"..", b"a.b"];
        crate::fuzz::fuzz(&seeds, &pieces, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let mut lines = text.lines();
            let host = lines.next().unwrap_or_default();
            let patterns = lines.filter_map(|it| HostPattern::try_from(it.to_owned()).ok());
            let patterns: Vec<HostPattern> = patterns.collect();
            let all = patterns.iter().map(|it| (it.clone(), it.clone()));
            let index = HostIndex::new(all);
            let found: Vec<&HostPattern> = index.covering(host).collect();
            let mut expected: Vec<&HostPattern> =
                patterns.iter().filter(|it| it.matches(host)).collect();
            expected.sort_by_key(|pattern| std::cmp::Reverse(pattern.specificity()));
            expected.dedup();
            assert_eq!(found, expected, "{host:?} among {patterns:?}");
            (found.len(), patterns.len())
        });
    }

    proptest::proptest! {
        #[test]
        fn covers_what_the_patterns_match_in_order_of_specificity(
            patterns in proptest::collection::vec("(\\*\\.)?[ab](\\.[ab]){0,3}", 0..8),
            host in "[ab](\\.[ab]){0,4}",
        ) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let index = index(&patterns);
            let found: Vec<HostPattern> = index.covering(&host).cloned().collect();
            let mut expected: Vec<HostPattern> =
                parse(&patterns).filter(|pattern| pattern.matches(&host)).collect();
            expected.sort_by_key(|pattern| std::cmp::Reverse(pattern.specificity()));
            expected.dedup();
            proptest::prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn changes_leave_copies_as_they_were() {
        let hosts: Vec<String> = (0..500).map(|it| format!("h{it}.example")).collect();
        let all = hosts.iter().map(|it| (HostPattern::Exact(it.clone()), 1));
        let before = HostIndex::new(all);
        let mut after = before.clone();
        let patterns = ["h7.example", "*.example", "*"].map(|it| parse(&[it]).next());
        for pattern in patterns.iter().flatten() {
            after.set(pattern.clone(), 2);
        }
        after.remove(&HostPattern::Exact("h8.example".to_owned()));

        let found = |index: &HostIndex<i32>, host: &str| -> Vec<i32> {
            index.covering(host).copied().collect()
        };
        assert_eq!(found(&before, "h7.example"), [1]);
        assert_eq!(found(&before, "h8.example"), [1]);
        assert_eq!(found(&after, "h7.example"), [2, 2, 2]);
        assert_eq!(found(&after, "h8.example"), [2, 2]);
        assert_eq!(found(&after, "h9.example"), [1, 2, 2]);
        for pattern in patterns.iter().flatten() {
            after.remove(pattern);
        }
        assert_eq!(found(&after, "h7.example"), []);
    }

    fn index(patterns: &[&str]) -> HostIndex<HostPattern> {
        HostIndex::new(parse(patterns).map(|pattern| (pattern.clone(), pattern)))
    }

    fn parse(patterns: &[&str]) -> impl Iterator<Item = HostPattern> {
        patterns
            .iter()
            .map(|text| HostPattern::try_from((*text).to_owned()).expect("a pattern"))
    }
}
