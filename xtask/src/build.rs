//! Builds the product: the eBPF object, then the binary with the object inside.

use std::fs;

use anyhow::{Context, bail};

use crate::ebpf;
use crate::run;
use crate::setup::{self, Outcome, Tools};
use crate::workspace::Workspace;

/// Builds the release binary and says where it is.
pub(crate) fn release(workspace: &Workspace) -> anyhow::Result<()> {
    compile(workspace, &setup::require(workspace)?)?;
    run::visibly(run::cargo(workspace).args([
        "build",
        "--locked",
        "--release",
        "--package",
        "gateway-user",
    ]))?;
    let binary = workspace.release_binary("sanmon");
    let size = fs::metadata(&binary)
        .with_context(|| format!("cannot find {}", binary.display()))?
        .len();
    println!(
        "{} ({}.{} MB)",
        binary.display(),
        size / 1_000_000,
        size / 100_000 % 10
    );
    Ok(())
}

/// Makes the machine ready and the eBPF object current, for a command that shows or tests what this user can run.
pub(crate) fn object(workspace: &Workspace) -> anyhow::Result<()> {
    match setup::run(workspace)? {
        Outcome::Ready(tools) => compile(workspace, &tools),
        Outcome::Missing(text) if setup::is_root() => bail!(text),
        Outcome::Missing(text) => {
            println!("{text}\nGoing on without the eBPF programs: loading them needs root anyway.");
            Ok(())
        }
    }
}

fn compile(workspace: &Workspace, tools: &Tools) -> anyhow::Result<()> {
    println!("building the eBPF object");
    ebpf::build(workspace, tools, &[]).map(drop)
}
