//! Runs every test that this machine can run, and says by name which it can not.
//!
//! A test that lacks something (root, mostly) ends early after a line `skipped: NAME: REASON` on the standard error of its
//! process; here these lines are counted. Nothing is left out by this file.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::build;
use crate::former;
use crate::run;
use crate::workspace::Workspace;

/// Cases of each property test in a full run; proptest's own default is 256.
const PROPERTY_CASES_FULL: &str = "4096";
/// Steps of the random histories that nodes agree on owners through, in a full run.
const MEMBERSHIP_STEPS_FULL: &str = "1000000";

/// How long each fuzz target runs, in seconds.
const FUZZ_SECONDS: &str = "10";
const FUZZ_SECONDS_FULL: &str = "120";
/// How often each fault happens to nodes on a LAN, in a full run.
const FAULT_ROUNDS_FULL: &str = "100";

/// The test that the release before is built for.
const RELEASES: &str = "nodes_of_two_releases_agree_during_an_update";

/// How long a process may hold the output open after the last test.
const LEFTOVER_MAX: Duration = Duration::from_secs(5);

/// How much is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every test.
    Usual,
    /// Every test, property tests with sixteen times the cases, a million steps of membership, fuzz targets for twelve
    /// times as long, and nodes of the release before.
    Full,
}

/// Builds what the tests need and runs those whose names contain `filter`.
pub(crate) fn run(
    workspace: &Workspace,
    extent: Extent,
    filter: Option<&str>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    build::object(workspace)?;
    println!("building sanmon and the tests");
    run::visibly(cargo_test(workspace).arg("--no-run"))?;
    let built = start.elapsed();

    let mut command = cargo_test(workspace);
    command
        .arg("--no-fail-fast")
        .env("SANMON_BIN", workspace.debug_binary("sanmon"));
    // Who asks for other numbers gets them.
    let mut ask = |name: &str, value: &str| {
        if env::var_os(name).is_none() {
            command.env(name, value);
        }
    };
    match extent {
        Extent::Usual => ask("SANMON_FUZZ_SECONDS", FUZZ_SECONDS),
        Extent::Full => {
            ask("PROPTEST_CASES", PROPERTY_CASES_FULL);
            ask("SANMON_FUZZ_SECONDS", FUZZ_SECONDS_FULL);
            ask("SANMON_MEMBERSHIP_STEPS", MEMBERSHIP_STEPS_FULL);
            ask("SANMON_FAULT_ROUNDS", FAULT_ROUNDS_FULL);
            if filter.is_none_or(|it| RELEASES.contains(it)) {
                command.env("SANMON_FORMER_BIN", former::binary(workspace)?);
            }
        }
    }
    command.args(filter);
    if io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let start = Instant::now();
    let (succeeded, summary) = watch(command, &mut io::stdout().lock(), LEFTOVER_MAX)?;
    let ran = start.elapsed();

    println!();
    for line in summary.skipped.iter().chain(&summary.failures) {
        println!("{line}");
    }
    println!(
        "test: {summary}; built in {}, ran in {}",
        run::elapsed(built),
        run::elapsed(ran)
    );
    if !succeeded {
        bail!("tests failed; their output is above");
    }
    Ok(())
}

fn cargo_test(workspace: &Workspace) -> Command {
    let mut command = run::cargo(workspace);
    command.args([
        "test",
        "--locked",
        "--workspace",
        // Built for another machine; its tests are the packet cases of vm-tests.
        "--exclude",
        "gateway-ebpf",
    ]);
    command
}

/// Runs a command, passes its output on as it comes and adds up what the test programs report.
fn watch(
    mut command: Command,
    out: &mut impl Write,
    leftover_max: Duration,
) -> anyhow::Result<(bool, Summary)> {
    // One pipe for both streams keeps their lines in order.
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let second_writer = writer.try_clone().context("cannot share a pipe")?;
    command.stdout(writer).stderr(second_writer);
    let mut child = command.spawn().context("cannot start cargo")?;
    // It holds the writing ends, and the reader would wait for them for ever.
    drop(command);

    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut summary = Summary::default();
    loop {
        match lines.recv_timeout(leftover_max) {
            Ok(line) => {
                let mut line = line.context("cannot read the output of the tests")?;
                summary.read(&String::from_utf8_lossy(&line));
                line.push(b'\n');
                out.write_all(&line)
                    .context("cannot write to standard output")?;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if child.try_wait().context("lost the test run")?.is_some() {
                    bail!("the tests are over, and a process that one of them started still runs");
                }
            }
        }
    }
    let status = child.wait().context("lost the test run")?;
    Ok((status.success(), summary))
}

/// What all test programs of a run reported.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// A test may say it more than once.
    skipped: BTreeSet<String>,
    failures: Vec<String>,
}

impl Summary {
    fn read(&mut self, line: &str) {
        // The line may follow an unfinished one of the test harness.
        if let Some((_, skip)) = line.split_once("skipped: ") {
            self.skipped.insert(format!("skipped: {skip}"));
        }
        if let Some((name, _)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
            .filter(|(_, verdict)| verdict.contains("FAILED"))
        {
            self.failures.push(format!("failed: {name}"));
        }
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        for count in counts.split(['.', ';']) {
            let mut words = count.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A skipped test returns early, so its harness counts it as passed.
        let skipped = self.skipped.len() as u64;
        write!(
            formatter,
            "{} passed, {} failed, {skipped} skipped",
            self.passed.saturating_sub(skipped),
            self.failed
        )?;
        if self.ignored > 0 {
            write!(formatter, ", {} ignored", self.ignored)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_added_up_and_failures_named() {
        let summary = summary_of(&[
            "test a::holds ... ok",
            "test a::breaks ... FAILED",
            "test result: ok. 15 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: \u{1b}[31mFAILED\u{1b}[m. 2 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.20s",
        ]);

        assert_eq!(summary.to_string(), "17 passed, 1 failed, 0 skipped");
        assert_eq!(summary.failures, ["failed: a::breaks"]);
    }

    #[test]
    fn a_skipped_test_is_named_and_not_counted_as_passed() {
        let summary = summary_of(&[
            "test lan_arp ... skipped: lan_arp: needs root",
            "skipped: lan_arp: needs root",
            "ok",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ]);

        let skipped: Vec<&String> = summary.skipped.iter().collect();
        assert_eq!(skipped, ["skipped: lan_arp: needs root"]);
        assert_eq!(summary.to_string(), "1 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn output_of_both_streams_is_seen_and_a_failure_is_reported() {
        let script =
            "echo 'skipped: a: needs root' >&2; echo 'test result: ok. 1 passed; 0 failed'; exit 1";

        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut out = Vec::new();

        let (succeeded, summary) =
            watch(command, &mut out, LEFTOVER_MAX).expect("sh is everywhere");

        assert!(!succeeded);
        assert!(out.starts_with(b"skipped: a: needs root\n"));
        assert_eq!(summary.to_string(), "0 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_process_that_outlives_the_tests_is_an_error() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 30 & echo $!"]);
        let mut out = Vec::new();

        let error =
            watch(command, &mut out, Duration::from_millis(50)).expect_err("sleep still runs");

        let pid = String::from_utf8(out).expect("sh prints a number");
        let killed = Command::new("kill").arg(pid.trim()).status();
        assert!(killed.is_ok_and(|status| status.success()));
        assert!(error.to_string().contains("still runs"), "{error}");
    }

    fn summary_of(lines: &[&str]) -> Summary {
        let mut summary = Summary::default();
        for line in lines {
            summary.read(line);
        }
        summary
    }
}
