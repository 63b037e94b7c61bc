//! Looks at the machine: compilers, linkers, package manager. Changes nothing and decides nothing.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::{
    COMPILER_PACKAGES, Compiler, CoreSources, Facts, Installer, LINKER_PACKAGES, Linker,
};
use crate::run;
use crate::workspace::Workspace;

/// Collects the facts that the plan depends on.
pub(super) fn gather(workspace: &Workspace) -> Facts {
    Facts {
        nightly: compiler(|| {
            let mut command = Command::new("rustup");
            command
                // Looking must not download a toolchain.
                .env("RUSTUP_AUTO_INSTALL", "0")
                .args(["run", "nightly", "rustc"]);
            command
        }),
        // Cargo, too, has to be there: Debian packages them apart.
        system: Path::new("/usr/bin/cargo")
            .exists()
            .then(|| compiler(|| Command::new("/usr/bin/rustc")))
            .flatten(),
        linkers: linkers(workspace),
        installer: installer(),
    }
}

fn compiler(rustc: impl Fn() -> Command) -> Option<Compiler> {
    let about = run::answer(rustc().arg("-vV"))?;
    let sysroot = run::answer(rustc().args(["--print", "sysroot"]))?;
    let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    Some(Compiler {
        release: release(&about)?,
        llvm: llvm_major(&about)?,
        core_sources: if core.exists() {
            CoreSources::Present
        } else {
            CoreSources::Absent
        },
    })
}

/// Reads `release: 1.96.0` out of `rustc -vV`.
fn release(about: &str) -> Option<(u32, u32)> {
    let value = about
        .lines()
        .find_map(|line| line.strip_prefix("release: "))?;
    let mut numbers = value.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Reads the number out of `LLVM version: 22.1.8` (rustc) or `LLVM version 22.1.8` (LLVM's tools).
fn llvm_major(about: &str) -> Option<u32> {
    let (_, rest) = about.split_once("LLVM version")?;
    rest.trim_start_matches([':', ' '])
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn linkers(workspace: &Workspace) -> Vec<Linker> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([workspace.tools().join("bin")])
        .map(|directory| directory.join("bpf-linker"))
        .filter(|candidate| candidate.is_file())
        .filter_map(|path| {
            let llvm = linker_llvm(&path)?;
            Some(Linker { path, llvm })
        })
        .collect()
}

/// Asks the LLVM inside bpf-linker: its own `--version` does not say which one that is.
fn linker_llvm(linker: &PathBuf) -> Option<u32> {
    let said = run::answer(Command::new(linker).args([
        "--target=bpfel",
        "--llvm-args=--version",
        "--output=/dev/null",
        "/dev/null",
    ]))?;
    llvm_major(&said)
}

fn installer() -> Installer {
    let here = |program: &str| {
        env::var_os("PATH")
            .iter()
            .flat_map(env::split_paths)
            .any(|directory| directory.join(program).is_file())
    };
    if !here("apt-get") || !here("dpkg-query") {
        return Installer::None;
    }
    if !is_root() {
        return Installer::AptWithoutRoot;
    }
    let installed = COMPILER_PACKAGES
        .iter()
        .chain(LINKER_PACKAGES)
        .filter(|package| {
            let mut query = Command::new("dpkg-query");
            query.args(["--show", "--showformat=${db:Status-Status}", package]);
            run::answer(&mut query).as_deref() == Some("installed")
        })
        .map(|&package| package.to_owned())
        .collect();
    Installer::Apt { installed }
}

/// Whether this process has the rights of root: the kernel shows them as the owner of its own entry in /proc.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_release_and_llvm_of_a_nightly() {
        let about = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";

        assert_eq!(release(about), Some((1, 97)));
        assert_eq!(llvm_major(about), Some(22));
    }

    #[test]
    fn reads_the_llvm_of_a_linker() {
        assert_eq!(
            llvm_major("Debian LLVM version 22.1.8\n  Optimized build.\n"),
            Some(22)
        );
        assert_eq!(llvm_major("bpf-linker 0.13.0"), None);
    }
}
