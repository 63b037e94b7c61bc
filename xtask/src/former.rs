//! Builds the program of the release before, which runs beside the new one while a cluster is updated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::run;
use crate::workspace::Workspace;

/// The last commit of it. A release means another one here.
const COMMIT: &str = "62080d5e20ef7e79f1da48efb12668d7affc841b";

/// Gives its binary; builds it if that was not done before.
///
/// # Errors
/// When the clone has no such commit, or it does not build.
pub(crate) fn binary(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let folder = workspace.target().join("former");
    let source = folder.join(COMMIT);
    if !source.exists() {
        unpack(workspace, &folder)?;
    }
    let target = folder.join("target");
    println!("building the release before");
    for arguments in [
        ["xtask", "build-ebpf"].as_slice(),
        &["build", "--locked", "--package", "gateway-user"],
    ] {
        let mut command = run::cargo(workspace);
        command
            .args(arguments)
            .current_dir(&source)
            .env("CARGO_TARGET_DIR", &target);
        run::visibly(&mut command)?;
    }
    Ok(target.join("debug/sanmon"))
}

/// Writes the files of the commit into a folder of its own. One that is half written has another name.
fn unpack(workspace: &Workspace, folder: &Path) -> anyhow::Result<()> {
    let half = folder.join("half");
    if half.exists() {
        fs::remove_dir_all(&half).with_context(|| format!("cannot remove {}", half.display()))?;
    }
    fs::create_dir_all(&half).with_context(|| format!("cannot make {}", half.display()))?;
    let archive = folder.join("source.tar");
    let mut git = Command::new("git");
    git.current_dir(workspace.root())
        .args(["archive", "--output"])
        .arg(&archive)
        .arg(COMMIT);
    run::quietly(&mut git)
        .context("this needs a clone with its history: `git fetch --unshallow`")?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(&archive);
    run::quietly(tar.arg("--directory").arg(&half))?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))?;
    let source = folder.join(COMMIT);
    fs::rename(&half, &source).with_context(|| format!("cannot make {}", source.display()))
}
