//! Builds the product: the eBPF object, then the binary with the object inside.

use std::fs;

use anyhow::Context;

use crate::ebpf;
use crate::run;
use crate::setup;
use crate::workspace::Workspace;

/// Builds the release binary and says where it is.
pub(crate) fn release(workspace: &Workspace) -> anyhow::Result<()> {
    object(workspace)?;
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

/// Makes the machine ready and the eBPF object current: what every build of `sanmon` starts with.
pub(crate) fn object(workspace: &Workspace) -> anyhow::Result<()> {
    let tools = setup::run(workspace)?;
    println!("building the eBPF object");
    ebpf::build(workspace, &tools, &[]).map(drop)
}
