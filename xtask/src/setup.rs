//! Finds or installs what the eBPF build needs: a compiler that can build `core` for BPF, and a linker that reads
//! the bitcode of that compiler.
//!
//! Three steps: [`facts`] looks at the machine, [`plan`] decides (a pure function of the facts), and this file does
//! what was decided, one line each. It says nothing when there is nothing to do.

mod facts;
mod plan;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

pub(crate) use facts::is_root;
pub(crate) use plan::{Flavor, Tools};

use crate::run;
use crate::workspace::Workspace;
use plan::{Action, Plan};

/// The version that setup installs; another one on PATH serves as well if it links for the compiler.
const BPF_LINKER: &str = "0.13.0";
/// The LLVM that Debian's `rustc-web` is built with. A newer compiler in Debian means a new number here.
const LLVM: u32 = 22;

/// What setup came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Ready(Tools),
    /// A person has to install something; the text names it and says how.
    Missing(String),
}

/// Makes the machine ready for the eBPF build as far as that is in its power.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let actions = match plan::plan(&facts::gather(workspace)) {
        Plan::Ready(tools) => return Ok(Outcome::Ready(tools)),
        Plan::Missing(text) => return Ok(Outcome::Missing(text)),
        Plan::Install(actions) => actions,
    };
    for action in &actions {
        perform(workspace, action)?;
    }
    match plan::plan(&facts::gather(workspace)) {
        Plan::Ready(tools) => {
            say(&format!("ready: {tools}\n"))?;
            Ok(Outcome::Ready(tools))
        }
        Plan::Missing(text) => Ok(Outcome::Missing(text)),
        Plan::Install(left) => bail!(
            "installed everything, and yet this is still to be done: {left:?}; please report it with the output of \
             `rustc -vV`, `/usr/bin/rustc -vV` and `bpf-linker --version`"
        ),
    }
}

/// Makes the machine ready, or fails with what is missing.
pub(crate) fn require(workspace: &Workspace) -> anyhow::Result<Tools> {
    match run(workspace)? {
        Outcome::Ready(tools) => Ok(tools),
        Outcome::Missing(text) => bail!(text),
    }
}

fn perform(workspace: &Workspace, action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Packages(packages) => install_packages(packages),
        Action::Linker => install_linker(workspace),
    }
}

fn install_packages(packages: &[&'static str]) -> anyhow::Result<()> {
    timed("apt-get update", apt().arg("update"))?;
    let offered = run::answer(Command::new("apt-cache").arg("madison").args(packages));
    let absent: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| {
            !offered.as_deref().is_some_and(|text| {
                text.lines()
                    .any(|line| line.split('|').next().map(str::trim) == Some(package))
            })
        })
        .collect();
    if !absent.is_empty() {
        bail!(
            "this system's package sources do not offer {}\n{}",
            absent.join(", "),
            plan::by_hand()
        );
    }
    timed(
        &format!("apt-get install {}", packages.join(" ")),
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Another apt may hold the lock for a moment on a freshly booted machine.
        .args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}

fn install_linker(workspace: &Workspace) -> anyhow::Result<()> {
    let tools = workspace.tools();
    timed(
        &format!("build bpf-linker {BPF_LINKER} into {}", tools.display()),
        cargo_install(workspace, "bpf-linker", BPF_LINKER)
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{LLVM}"))
            .args(["--no-default-features", "--features"])
            .arg(format!("llvm-{LLVM}")),
    )
}

/// `cargo install` of one pinned tool into this project's own tools directory.
fn cargo_install(workspace: &Workspace, name: &str, version: &str) -> Command {
    let mut command = run::cargo(workspace);
    command
        // The tool's build must not take the workspace's settings or its target directory.
        .current_dir("/")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .args(["install", name, "--locked", "--version"])
        .arg(format!("={version}"))
        .arg("--root")
        .arg(workspace.tools());
    command
}

/// A development tool from crates.io, in the version that this project is checked with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// The name of its package.
    pub(crate) package: &'static str,
    /// The name of its program.
    pub(crate) program: &'static str,
    pub(crate) version: &'static str,
}

/// Returns the path of a development tool, installed first if this machine lacks that version.
pub(crate) fn tool(workspace: &Workspace, tool: Tool) -> anyhow::Result<PathBuf> {
    let own = workspace.tools().join("bin").join(tool.program);
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&path)
        .map(|directory| directory.join(tool.program))
        .chain([own.clone()]);
    for candidate in candidates.filter(|candidate| candidate.is_file()) {
        let said = run::answer(Command::new(&candidate).arg("--version")).unwrap_or_default();
        if said.split_whitespace().any(|word| word == tool.version) {
            return Ok(candidate);
        }
    }
    timed(
        &format!(
            "build {} {} into {}",
            tool.package,
            tool.version,
            workspace.tools().display()
        ),
        &mut cargo_install(workspace, tool.package, tool.version),
    )?;
    Ok(own)
}

fn timed(what: &str, command: &mut Command) -> anyhow::Result<()> {
    say(&format!("{what} … "))?;
    let start = Instant::now();
    let result = run::quietly(command);
    println!(
        "{}",
        if result.is_ok() {
            run::elapsed(start.elapsed())
        } else {
            "failed".to_owned()
        }
    );
    result.map(drop)
}

fn say(text: &str) -> anyhow::Result<()> {
    print!("setup: {text}");
    io::stdout()
        .flush()
        .context("cannot write to standard output")
}
