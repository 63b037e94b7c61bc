//! `cargo xtask`: the one front door to building, trying, testing and checking Sanmon.
//!
//! It only starts other programs and reads the source tree; no crate of the product is linked into it.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks on its standard output"
)]

mod ebpf;
mod run;
mod setup;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Build, try, test and check Sanmon")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find or install what the eBPF build needs; every other command does this by itself
    Setup,
    /// Check the house rules that no other tool knows: layers, file lengths, headers, links
    Tidy,
    /// Build the eBPF object alone
    BuildEbpf {
        /// Cargo features of the eBPF programs
        #[arg(long = "feature", value_name = "FEATURE")]
        features: Vec<ebpf::Feature>,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes in one text; a backtrace into xtask helps nobody here.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> anyhow::Result<()> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Setup => setup::run(&workspace).map(drop),
        Command::Tidy => tidy::check(&workspace),
        Command::BuildEbpf { features } => {
            let tools = setup::run(&workspace)?;
            let object = ebpf::build(&workspace, &tools, &features)?;
            println!("{}", object.display());
            Ok(())
        }
    }
}
