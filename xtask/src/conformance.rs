//! `cargo xtask conformance`: the Gateway API's own conformance suite, run from the client of the test cluster.
//!
//! Which features are tested is what the status of Sanmon's GatewayClass says. A run of everything makes the report that
//! is published.

mod progress;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;

use crate::cluster::{Cluster, Suite};
use crate::run;
use crate::workspace::Workspace;
use progress::Progress;

/// How long a whole run may take, in Go's words.
const LENGTH_MAX: &str = "60m";
/// The class that `cluster up` installs.
const CLASS: &str = "sanmon";
/// An address of the pool that is for Gateways that ask for one, and one that is in no pool.
const USABLE: &str = "192.168.77.240";
const UNUSABLE: &str = "192.0.2.1";
const PROFILES: &str = "GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP";
/// Where reports are published, each named after the Gateway API's version.
const REPORTS: &str = "docs/conformance";

/// What is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run this profile alone (GATEWAY-HTTP, -GRPC, -TLS, -TCP or -UDP)
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Run only this test, whatever features it needs
    #[arg(long, value_name = "TEST")]
    run_test: Option<String>,
    /// Run everything, but compare the report with the published one instead of replacing it
    #[arg(long, conflicts_with_all = ["profile", "run_test"])]
    check: bool,
}

/// Builds the suite if it has to, and runs it: in the cluster that is up, else in one for this run alone.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let suite = Suite::build(workspace)?;
    let cluster = Cluster::of(workspace);
    if cluster.is_up()? {
        return judge(workspace, options, &cluster, &suite);
    }
    cluster.up(workspace, 1)?;
    let judged = judge(workspace, options, &cluster, &suite);
    judged.and(cluster.down())
}

fn judge(
    workspace: &Workspace,
    options: &Options,
    cluster: &Cluster,
    suite: &Suite,
) -> anyhow::Result<()> {
    let report = cluster.folder().join("report.yaml");
    let log = cluster.folder().join("conformance.log");
    let start = Instant::now();
    let succeeded = watch(command(options, cluster, &suite.program, &report), &log)?;
    println!(
        "conformance: ran in {}; the whole output is in {}",
        run::elapsed(start.elapsed()),
        log.display()
    );
    if !succeeded {
        bail!("the conformance suite failed");
    }
    let published = workspace
        .root()
        .join(REPORTS)
        .join(format!("v{}.yaml", suite.version));
    let is_partial = options.profile.is_some() || options.run_test.is_some();
    match (is_partial, options.check) {
        (true, _) => Ok(()),
        (false, true) => compare(&report, &published),
        (false, false) => publish(&report, &published),
    }
}

fn command(options: &Options, cluster: &Cluster, suite: &Path, report: &Path) -> Command {
    let mut command = Command::new(cluster.client());
    command
        .arg(suite)
        .args(["-test.run=TestConformance", "-test.v"])
        .arg(format!("-test.timeout={LENGTH_MAX}"))
        .arg(format!("--gateway-class={CLASS}"))
        .arg(format!("--usable-address={USABLE}"))
        .arg(format!("--unusable-address={UNUSABLE}"));
    if let Some(test) = &options.run_test {
        command.arg(format!("--run-test={test}"));
        return command;
    }
    let profiles = options.profile.as_deref().unwrap_or(PROFILES);
    command
        .arg(format!("--conformance-profiles={profiles}"))
        .arg(format!("--report-output={}", report.display()))
        .args(["--organization=sanmon", "--project=sanmon"])
        .arg(concat!("--url=", env!("CARGO_PKG_REPOSITORY")))
        .arg(concat!("--version=v", env!("CARGO_PKG_VERSION")))
        .arg(concat!(
            "--contact=",
            env!("CARGO_PKG_REPOSITORY"),
            "/issues"
        ));
    command
}

/// Runs the suite, shows the outcome of each test, and keeps all that it says in a log.
fn watch(mut command: Command, log: &Path) -> anyhow::Result<bool> {
    let log = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    // One pipe for both streams keeps their lines in order.
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let second_writer = writer.try_clone().context("cannot share a pipe")?;
    command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second_writer);
    let mut child = command.spawn().context("cannot start the suite")?;
    // It holds the writing ends, and the reader would wait for them for ever.
    drop(command);
    let mut progress = Progress::new(std::io::stdout().lock(), log);
    progress.follow(reader)?;
    progress.sum_up()?;
    Ok(child.wait().context("lost the suite")?.success())
}

fn publish(report: &Path, published: &Path) -> anyhow::Result<()> {
    let text = read(report)?;
    if let Some(folder) = published.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(published, text).with_context(|| format!("cannot write {}", published.display()))?;
    println!("the report is in {}", published.display());
    Ok(())
}

fn compare(report: &Path, published: &Path) -> anyhow::Result<()> {
    if lasting(&read(report)?) != lasting(&read(published)?) {
        bail!(
            "{} is not the report of this run, {}: publish it by `cargo xtask conformance`",
            published.display(),
            report.display()
        );
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// A report without what differs from run to run: when it was made, of which version, and the order of the profiles.
fn lasting(report: &str) -> Vec<Vec<&str>> {
    let lines = report.lines();
    let lines = lines
        .filter(|line| !line.starts_with("date:") && !line.trim_start().starts_with("version:"));
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in lines {
        // A field of the report, or an entry of its lists: what is inside of one is indented.
        if !line.starts_with(' ') {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    blocks.sort();
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_run_of_the_next_version_is_the_same_report() {
        let one = "date: \"1\"\nimplementation:\n  version: v0.1.0\nprofiles:\n- core:\n    result: success\n  name: a\n- core:\n    result: partial\n  name: b\n";
        let two = one.replace("\"1\"", "\"2\"").replace("v0.1.0", "v0.2.0");

        assert_eq!(lasting(one), lasting(&two));
        assert_ne!(lasting(one), lasting(&two.replace("success", "partial")));

        let swapped =
            "- core:\n    result: partial\n  name: b\n- core:\n    result: success\n  name: a\n";
        let head = one.find("- core").unwrap_or_default();
        let swapped = one[..head].to_owned() + swapped;
        assert_eq!(lasting(one), lasting(&swapped));
    }
}
