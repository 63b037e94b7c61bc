//! Builds the product: the eBPF object, then the binary with the object inside.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::ebpf;
use crate::run;
use crate::setup::{self, Outcome, Tools};
use crate::workspace::Workspace;

/// What a binary is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be run here: the release profile.
    Use,
    /// To be measured: optimized as what is published.
    Measurement,
    /// To be published: with everything inside, for an image without files.
    Image,
}

/// Builds an optimized binary, says where it is, and gives its path.
pub(crate) fn binary(workspace: &Workspace, purpose: Purpose) -> anyhow::Result<PathBuf> {
    compile(workspace, &setup::require(workspace)?)?;
    let binary = match purpose {
        Purpose::Use => shared(workspace, "release")?,
        Purpose::Measurement => shared(workspace, "dist")?,
        Purpose::Image => alone(workspace)?,
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
    Ok(binary)
}

fn shared(workspace: &Workspace, profile: &str) -> anyhow::Result<PathBuf> {
    run::visibly(&mut cargo(workspace, profile))?;
    Ok(workspace.target().join(profile).join("sanmon"))
}

/// Builds the binary without an interpreter, and puts it into a folder of its own: all that an image needs.
fn alone(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let about = run::quietly(run::cargo(workspace).args(["--version", "--verbose"]))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`cargo --version --verbose` does not name the host")?;
    // Named, so that the flags do not reach the build scripts, whose macros are shared libraries.
    run::visibly(
        cargo(workspace, "dist")
            .args(["--target", host])
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    let folder = workspace.target().join("static");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let binary = folder.join("sanmon");
    let built = workspace.target().join(host).join("dist/sanmon");
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

fn cargo(workspace: &Workspace, profile: &str) -> Command {
    let mut command = run::cargo(workspace);
    command.args(["build", "--locked", "--profile", profile]);
    command.args(["--package", "gateway-user"]);
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
