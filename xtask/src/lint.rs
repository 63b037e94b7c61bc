//! Everything that is checked without running the product, in the order of what fails fastest.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;

use crate::codegen;
use crate::run;
use crate::setup::{self, Tool};
use crate::tidy;
use crate::workspace::Workspace;

const DENY: Tool = Tool {
    package: "cargo-deny",
    program: "cargo-deny",
    version: "0.20.2",
};
const MACHETE: Tool = Tool {
    package: "cargo-machete",
    program: "cargo-machete",
    version: "0.9.2",
};
const TYPOS: Tool = Tool {
    package: "typos-cli",
    program: "typos",
    version: "1.52.0",
};

struct Step {
    name: &'static str,
    remedy: &'static str,
    check: fn(&Workspace) -> anyhow::Result<()>,
}

const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        remedy: "run `cargo fmt --all`",
        check: |workspace| run::visibly(run::cargo(workspace).args(["fmt", "--all", "--check"])),
    },
    Step {
        name: "tidy",
        remedy: "each line above names a file and what to change in it; CONTRIBUTING.md has the reasons",
        check: tidy::check,
    },
    Step {
        name: "typos",
        remedy: "correct the word, or add it to typos.toml if it is one",
        check: |workspace| run::visibly(tool(workspace, TYPOS)?.arg("--format=brief")),
    },
    Step {
        name: "unused dependencies",
        remedy: "remove the dependency from that Cargo.toml",
        check: |workspace| {
            run::quietly(tool(workspace, MACHETE)?.args(["--with-metadata", "."])).map(drop)
        },
    },
    Step {
        name: "deny",
        remedy: "deny.toml says why a dependency is refused; a new one needs an entry there, with its reason",
        check: |workspace| {
            run::visibly(tool(workspace, DENY)?.args([
                "--workspace",
                "--locked",
                "--log-level=error",
                "check",
                "--hide-inclusion-graph",
                "bans",
                "licenses",
                "sources",
            ]))
        },
    },
    Step {
        name: "clippy",
        remedy: "follow the lint, or `#[expect(…, reason = \"…\")]` where it is wrong",
        check: |workspace| {
            run::visibly(host(workspace, "clippy").args(["--all-targets", "--", "-Dwarnings"]))?;
            run::visibly(kernel(workspace, "clippy").args(["--", "-Dwarnings"]))
        },
    },
    Step {
        name: "codegen",
        remedy: "run `cargo xtask codegen` and commit what it writes",
        check: |workspace| codegen::run(workspace, codegen::Action::Check),
    },
    Step {
        name: "doc",
        remedy: "correct the documentation comment",
        check: |workspace| {
            let flags = ["--no-deps", "--document-private-items"];
            run::visibly(
                host(workspace, "doc")
                    .env("RUSTDOCFLAGS", "-Dwarnings")
                    .args(flags),
            )?;
            run::visibly(
                kernel(workspace, "doc")
                    .env("RUSTDOCFLAGS", "-Dwarnings")
                    .args(flags),
            )
        },
    },
    Step {
        name: "each crate alone",
        remedy: "ask for the feature that another crate happened to enable",
        check: alone,
    },
];

/// Runs every step and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let all = Instant::now();
    for step in STEPS {
        println!("lint: {} …", step.name);
        let start = Instant::now();
        (step.check)(workspace)
            .with_context(|| format!("lint: {} failed; {}", step.name, step.remedy))?;
        println!("lint: {} ok, {}", step.name, run::elapsed(start.elapsed()));
    }
    println!(
        "lint: all {} steps ok, {}",
        STEPS.len(),
        run::elapsed(all.elapsed())
    );
    Ok(())
}

/// Checks each crate by itself: together, one crate's features hide what another forgot to ask for.
fn alone(workspace: &Workspace) -> anyhow::Result<()> {
    let members = run::quietly(run::cargo(workspace).args([
        "tree",
        "--workspace",
        "--depth=0",
        "--prefix=none",
        "--format={p}",
    ]))?;
    let packages = members
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|&name| name != "gateway-ebpf");
    for package in packages {
        run::visibly(run::cargo(workspace).args([
            "check",
            "--quiet",
            "--locked",
            "--package",
            package,
        ]))?;
    }
    Ok(())
}

/// A cargo command on every crate that runs on the host.
fn host(workspace: &Workspace, subcommand: &str) -> Command {
    let mut command = run::cargo(workspace);
    command.args([
        subcommand,
        "--quiet",
        "--locked",
        "--workspace",
        "--exclude",
        "gateway-ebpf",
    ]);
    command
}

/// A cargo command on the eBPF programs, compiled for the host: clippy and rustdoc come with rustup's toolchain,
/// which lacks the sources of `core` for the BPF target.
fn kernel(workspace: &Workspace, subcommand: &str) -> Command {
    let mut command = run::cargo(workspace);
    command
        // Without std there is no unwinding; the BPF target knows that by itself.
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .args([
            subcommand,
            "--quiet",
            "--locked",
            "--package",
            "gateway-ebpf",
            "--all-features",
        ]);
    command
}

fn tool(workspace: &Workspace, tool: Tool) -> anyhow::Result<Command> {
    let program = setup::tool(workspace, tool)?;
    let mut command = Command::new(Path::new(&program));
    command.current_dir(workspace.root());
    Ok(command)
}
