//! What the suite says while it runs: everything into a log, each test's outcome to people, and at the end the words of
//! those that failed.
//!
//! Knows the format of `go test -v` and nothing else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};

use anyhow::Context;

/// How many of its last lines a failed test is shown with.
const LINES_MAX: usize = 40;
/// The test that all others are part of.
const ROOT: &str = "TestConformance/";

/// Follows a run.
#[derive(Debug)]
pub(super) struct Progress<Out, Log> {
    out: Out,
    log: Log,
    /// Whose lines these are.
    speaker: String,
    said: BTreeMap<String, Vec<String>>,
    counts: BTreeMap<String, u32>,
    failed: Vec<String>,
}

impl<Out: Write, Log: Write> Progress<Out, Log> {
    /// Shows outcomes on `out`; all lines go to `log`.
    pub(super) fn new(out: Out, log: Log) -> Self {
        Self {
            out,
            log,
            speaker: String::new(),
            said: BTreeMap::new(),
            counts: BTreeMap::new(),
            failed: Vec::new(),
        }
    }

    /// Follows until nobody can say anything any more.
    pub(super) fn follow(&mut self, lines: impl Read) -> anyhow::Result<()> {
        for line in BufReader::new(lines).split(b'\n') {
            let line = line.context("cannot read what the suite says")?;
            self.take(&String::from_utf8_lossy(&line))?;
        }
        Ok(())
    }

    fn take(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.log, "{line}").context("cannot write the log")?;
        if let Some(name) = speaker(line) {
            name.clone_into(&mut self.speaker);
            return Ok(());
        }
        let Some((outcome, name, time)) = outcome(line) else {
            let said = self.said.entry(self.speaker.clone()).or_default();
            if said.len() == LINES_MAX {
                said.remove(0);
            }
            said.push(line.to_owned());
            return Ok(());
        };
        let Some(name) = name.strip_prefix(ROOT) else {
            return Ok(());
        };
        if name.contains('/') {
            return Ok(());
        }
        *self.counts.entry(outcome.to_owned()).or_default() += 1;
        if outcome == "FAIL" {
            self.failed.push(name.to_owned());
        }
        // Tests of what is no gateway are skipped by the dozen, and all others when one is asked for.
        if outcome == "SKIP" {
            return Ok(());
        }
        writeln!(self.out, "{outcome} {name} {time}").context("cannot write to standard output")
    }

    /// Shows what failed, with its last words, and how many tests had which outcome.
    pub(super) fn sum_up(&mut self) -> anyhow::Result<()> {
        for name in &self.failed {
            writeln!(self.out, "\nfailed: {name}")?;
            for line in self.said.get(name).into_iter().flatten() {
                writeln!(self.out, "  {line}")?;
            }
        }
        // What stops the suite as a whole is said by no test of its own.
        if self.counts.is_empty() {
            for line in self.said.values().flatten() {
                writeln!(self.out, "  {line}")?;
            }
        }
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"))
            .collect();
        writeln!(self.out, "conformance: {}", counts.join(", "))?;
        Ok(())
    }
}

/// Whose lines follow: the test without its parts, the empty name for the suite itself.
fn speaker(line: &str) -> Option<&str> {
    let (_verb, name) = line.strip_prefix("=== ")?.split_once(char::is_whitespace)?;
    let name = name.trim().strip_prefix(ROOT).unwrap_or_default();
    Some(name.split_once('/').map_or(name, |(test, _part)| test))
}

/// Outcome, name and time of `    --- PASS: TestConformance/X (1.00s)`.
fn outcome(line: &str) -> Option<(&str, &str, &str)> {
    let (outcome, rest) = line.trim_start().strip_prefix("--- ")?.split_once(": ")?;
    let (name, time) = rest.split_once(' ')?;
    Some((outcome, name, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_tests_are_shown_with_their_own_words() {
        let run = "=== RUN   TestConformance\n=== RUN   TestConformance/A\n    a.go:1: fine\n=== PAUSE TestConformance/A\n\
                   === RUN   TestConformance/B/part\n    b.go:2: broken\n=== NAME  TestConformance/A\n    a.go:3: done\n\
                   --- FAIL: TestConformance (2.00s)\n    --- PASS: TestConformance/A (1.00s)\n    \
                   --- SKIP: TestConformance/MeshA (0.00s)\n    \
                   --- FAIL: TestConformance/B (1.50s)\n        --- FAIL: TestConformance/B/part (1.40s)\n";

        let (mut out, mut log) = (Vec::new(), Vec::new());
        let mut progress = Progress::new(&mut out, &mut log);
        progress.follow(run.as_bytes()).expect("in memory");
        progress.sum_up().expect("in memory");

        let out = String::from_utf8(out).expect("text");
        assert_eq!(
            out,
            "PASS A (1.00s)\nFAIL B (1.50s)\n\nfailed: B\n      b.go:2: broken\nconformance: 1 FAIL, 1 PASS, 1 SKIP\n"
        );
        assert_eq!(log, run.as_bytes());
    }
}
