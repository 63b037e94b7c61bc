//! Builds what the demonstration needs and becomes it.
//!
//! The demonstration is a program of `vm-tests`, so that a network stack is no part of the newcomer's first build.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::anyhow;

use crate::build;
use crate::run;
use crate::workspace::Workspace;

/// What happens to the demonstration's LAN when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing is left behind.
    CleanUp,
    /// The LAN stays up to be looked at.
    Keep,
}

/// Builds and starts the demonstration; returns only if that fails.
pub(crate) fn run(workspace: &Workspace, ending: Ending) -> anyhow::Result<()> {
    build::object(workspace)?;
    println!("building sanmon and the demonstration");
    run::visibly(run::cargo(workspace).args([
        "build",
        "--locked",
        // The packages of `test`, so that the second command finds its dependencies built.
        "--workspace",
        "--exclude",
        "gateway-ebpf",
        "--bins",
    ]))?;
    let program = workspace.debug_binary("demo");
    let mut command = Command::new(&program);
    command
        .current_dir(workspace.root())
        .env("SANMON_BIN", workspace.debug_binary("sanmon"));
    if ending == Ending::Keep {
        command.arg("--keep");
    }
    // In place of this process, so that Ctrl-C and the exit code are the demonstration's own.
    let error = command.exec();
    Err(anyhow!(error).context(format!("cannot start {}", program.display())))
}
