//! Builds the eBPF object and puts it where `gateway-l4` embeds it from.

use std::env::consts::ARCH;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::ValueEnum;

use crate::run;
use crate::setup::{Flavor, Tools};
use crate::workspace::Workspace;

/// The target that the programs are compiled for: BPF, little-endian as every supported host is.
const TARGET: &str = "bpfel-unknown-none";

/// The instruction set.
const CPU: &str = "v3";

/// A cargo feature of `gateway-ebpf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Feature {
    /// Per-packet logs through aya-log.
    Log,
}

/// Builds `target/bpf/sanmon.bpf.o`; a file whose bytes would stay the same is not touched, so that nothing that
/// embeds it is built again.
pub(crate) fn build(
    workspace: &Workspace,
    tools: &Tools,
    features: &[Feature],
) -> anyhow::Result<PathBuf> {
    let products = workspace.target().join("bpf-build");
    let mut command = compiler(workspace, tools);
    command
        .env("CARGO_TARGET_DIR", &products)
        .env("RUSTFLAGS", rust_flags(tools))
        .args(["build", "--quiet", "--locked", "--release"])
        .args(["--package", "gateway-ebpf", "--bin", "sanmon-ebpf"])
        .args(["--target", TARGET, "-Zbuild-std=core"]);
    for feature in features {
        match feature {
            Feature::Log => command.args(["--features", "log"]),
        };
    }
    run::visibly(&mut command).context("the eBPF object does not build")?;

    let built = products.join(TARGET).join("release/sanmon-ebpf");
    let object = workspace.root().join("target/bpf/sanmon.bpf.o");
    publish(&built, &object)?;
    Ok(object)
}

fn compiler(workspace: &Workspace, tools: &Tools) -> Command {
    let mut command = match tools.flavor {
        Flavor::Nightly => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "cargo"]);
            command
        }
        Flavor::System => {
            let mut command = Command::new("/usr/bin/cargo");
            command
                // A released compiler refuses -Zbuild-std without this.
                .env("RUSTC_BOOTSTRAP", "1")
                // The `rustc` on PATH may be rustup's, of another version than this cargo.
                .env("RUSTC", "/usr/bin/rustc");
            command
        }
    };
    command.current_dir(workspace.root());
    // What cargo and rustup set for this xtask names another toolchain.
    for name in [
        "CARGO",
        "RUSTUP_TOOLCHAIN",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        command.env_remove(name);
    }
    if tools.flavor == Flavor::Nightly {
        command.env_remove("RUSTC");
    }
    command
}

/// aya-ebpf reads `bpf_target_arch` for the layout of `pt_regs`; BTF needs full debug information and the linker's `--btf`.
/// Every kernel with tcx has the instructions of v3. The last flag lets the compiler clear memory by words: without it
/// LLVM calls a loop over bytes.
fn rust_flags(tools: &Tools) -> String {
    [
        format!("--cfg bpf_target_arch=\"{ARCH}\""),
        "-Cdebuginfo=2 -Clink-arg=--btf".to_owned(),
        format!("-Ctarget-cpu={CPU}"),
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        format!("-Clinker={}", tools.linker.display()),
    ]
    .join(" ")
}

fn publish(built: &PathBuf, object: &PathBuf) -> anyhow::Result<()> {
    let bytes =
        fs::read(built).with_context(|| format!("cannot read the object {}", built.display()))?;
    if fs::read(object).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let directory = object
        .parent()
        .with_context(|| format!("{} has no parent directory", object.display()))?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    // Renamed into place: a build that runs beside this one never embeds half an object.
    let partial = object.with_extension("partial");
    fs::write(&partial, &bytes).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, object).with_context(|| format!("cannot write {}", object.display()))
}
