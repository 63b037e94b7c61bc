//! Builds the product: the eBPF object, then the binary with the object inside.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::ebpf;
use crate::run;
use crate::setup::{self, Outcome, Tools};
use crate::workspace::Workspace;

/// How the release binary is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linking {
    /// With the C library of the machine that it runs on.
    Shared,
    /// With everything inside, for an image without files.
    Static,
}

/// Builds the release binary and says where it is.
pub(crate) fn release(workspace: &Workspace, linking: Linking) -> anyhow::Result<()> {
    compile(workspace, &setup::require(workspace)?)?;
    let binary = match linking {
        Linking::Shared => shared(workspace)?,
        Linking::Static => alone(workspace)?,
    };
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

fn shared(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    run::visibly(&mut cargo(workspace))?;
    Ok(workspace.release_binary("sanmon"))
}

/// Builds the binary without an interpreter, and puts it into a folder of its own: all that an image needs.
fn alone(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let about = run::quietly(run::cargo(workspace).args(["--version", "--verbose"]))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`cargo --version --verbose` does not name the host")?;
    // Named, so that the flags do not reach the build scripts, whose macros are shared libraries.
    run::visibly(
        cargo(workspace)
            .args(["--target", host])
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    let folder = workspace.target().join("static");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let binary = folder.join("sanmon");
    let built = workspace.target().join(host).join("release/sanmon");
    fs::copy(&built, &binary).with_context(|| format!("cannot copy {}", built.display()))?;
    // As in the image: a root directory with nothing else in it.
    if setup::is_root() {
        run::quietly(
            Command::new("chroot")
                .arg(&folder)
                .args(["/sanmon", "version"]),
        )
        .context("the binary does not run alone")?;
    }
    Ok(binary)
}

fn cargo(workspace: &Workspace) -> Command {
    let mut command = run::cargo(workspace);
    command.args([
        "build",
        "--locked",
        "--release",
        "--package",
        "gateway-user",
    ]);
    command
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
