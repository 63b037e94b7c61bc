//! What the audience sees: a line for what is going on, a line of evidence for each claim, a table at the end.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How wide the column of the claims is.
const CLAIM_WIDTH: usize = 42;

/// The output of the demonstration.
#[derive(Debug)]
pub(crate) struct Stage {
    started: Instant,
    style: Style,
    chapter: String,
    results: Vec<Shown>,
}

/// Whether the output is a terminal that takes colours and lines that are overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Terminal,
    Plain,
}

/// A claim that was put to the test.
#[derive(Debug)]
struct Shown {
    chapter: String,
    claim: String,
    evidence: String,
    verdict: Verdict,
    took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Holds,
    Fails,
}

impl Stage {
    /// Begins.
    pub(crate) fn new() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            started: Instant::now(),
            style: if colours {
                Style::Terminal
            } else {
                Style::Plain
            },
            chapter: String::new(),
            results: Vec::new(),
        }
    }

    /// Says a line.
    pub(crate) fn say(&self, line: &str) {
        print(&format!("{line}\n"));
    }

    /// Opens a chapter.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapter = title.to_owned();
        self.say(&format!("\n{}", self.paint("1", title)));
    }

    /// Puts a claim to the test; the test returns the evidence.
    pub(crate) fn show(&mut self, claim: &str, test: impl FnOnce() -> anyhow::Result<String>) {
        self.begin(claim);
        let began = Instant::now();
        let (verdict, evidence) = match test() {
            Ok(evidence) => (Verdict::Holds, evidence),
            Err(error) => (Verdict::Fails, format!("{error:#}")),
        };
        let took = began.elapsed();
        self.end(verdict, claim, &evidence);
        self.results.push(Shown {
            chapter: self.chapter.clone(),
            claim: claim.to_owned(),
            evidence,
            verdict,
            took,
        });
    }

    /// Does a step without which the rest makes no sense.
    ///
    /// # Errors
    /// When the step fails.
    pub(crate) fn step<T>(
        &self,
        what: &str,
        step: impl FnOnce() -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        self.begin(what);
        let (value, evidence) = step()?;
        self.end(Verdict::Holds, what, &evidence);
        Ok(value)
    }

    /// Says what ended the demonstration.
    pub(crate) fn fail(&self, error: &anyhow::Error) {
        self.clear();
        self.say(&format!("{} {error:#}", self.mark(Verdict::Fails)));
    }

    /// Tells whether every claim held.
    pub(crate) fn all_held(&self) -> bool {
        self.results
            .iter()
            .all(|shown| shown.verdict == Verdict::Holds)
    }

    /// Ends with the table of all claims.
    pub(crate) fn summary(&self) {
        let held = self
            .results
            .iter()
            .filter(|shown| shown.verdict == Verdict::Holds);
        let (held, all) = (held.count(), self.results.len());
        self.say(&format!("\n{}", self.paint("1", "Summary")));
        let chapters: usize = self
            .results
            .iter()
            .map(|shown| shown.chapter.chars().count())
            .max()
            .unwrap_or(0);
        for shown in &self.results {
            let Shown {
                chapter,
                claim,
                evidence,
                verdict,
                took,
            } = shown;
            let evidence = cut(evidence);
            self.say(&format!(
                " {} {chapter:chapters$}  {claim:CLAIM_WIDTH$} {:>6}  {evidence}",
                self.mark(*verdict),
                seconds(*took),
            ));
        }
        let took = seconds(self.started.elapsed());
        self.say(&format!("\n{held} of {all} claims held, in {took}."));
    }

    fn begin(&self, what: &str) {
        if self.style == Style::Terminal {
            print(&format!(" … {what}"));
        }
    }

    fn end(&self, verdict: Verdict, claim: &str, evidence: &str) {
        self.clear();
        let mut lines = evidence.split("; ");
        let first = lines.next().unwrap_or_default();
        self.say(&format!(
            " {} {claim:CLAIM_WIDTH$} {first}",
            self.mark(verdict)
        ));
        for line in lines {
            self.say(&format!("   {:CLAIM_WIDTH$} {line}", ""));
        }
    }

    fn clear(&self) {
        if self.style == Style::Terminal {
            print("\r\x1b[2K");
        }
    }

    fn mark(&self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Holds => self.paint("32", "✓"),
            Verdict::Fails => self.paint("31", "✗"),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.style {
            Style::Terminal => format!("\x1b[{code}m{text}\x1b[0m"),
            Style::Plain => text.to_owned(),
        }
    }
}

/// The first part of an evidence, short enough for a row of the table.
fn cut(evidence: &str) -> String {
    const WIDTH: usize = 56;
    let first = evidence.split(['\n', ';']).next().unwrap_or_default();
    if first.chars().count() <= WIDTH {
        return first.to_owned();
    }
    let short: String = first.chars().take(WIDTH - 1).collect();
    format!("{short}…")
}

/// A duration as people read it.
pub(crate) fn seconds(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros < 1000 {
        format!("{micros} µs")
    } else if micros < 10_000 {
        format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
    } else if micros < 1_000_000 {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

fn print(text: &str) {
    let mut out = std::io::stdout();
    // An audience that has left (a closed pipe) is not told anything.
    let _left = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
