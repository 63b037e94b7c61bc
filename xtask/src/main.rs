//! `cargo xtask`: the one front door to building, trying, testing and checking Sanmon.
//!
//! It only starts other programs and reads the source tree; no crate of the product is linked into it.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks on its standard output"
)]

mod bench;
mod build;
mod cluster;
mod codegen;
mod conformance;
mod demo;
mod ebpf;
mod former;
mod lint;
mod run;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Build, try, test and check Sanmon"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find or install what the eBPF build needs; the other commands do this by themselves
    Setup,
    /// Build the release binary with the eBPF object inside
    Build {
        /// Link it statically, for an image with nothing else in it
        #[arg(long = "static")]
        alone: bool,
    },
    /// Show Sanmon at work on a LAN of network namespaces (as root; without root, the proxy alone)
    Demo {
        /// Leave the LAN up at the end and say how to enter it
        #[arg(long)]
        keep: bool,
    },
    /// Run the tests
    Test {
        /// Take longer: sixteen times the cases of property tests
        #[arg(long)]
        full: bool,
        /// Run only the tests whose names contain this
        filter: Option<String>,
    },
    /// Check formatting, house rules, spelling, dependencies, lints and documentation
    Lint,
    /// Measure, beside other programs in the same run
    Bench {
        /// What to measure; everything if not given
        subject: Option<bench::Subject>,
    },
    /// A cluster of namespaces on this machine, with a real API server (as root; its programs are built with Go)
    Cluster {
        #[command(subcommand)]
        action: cluster::Action,
    },
    /// Run the Gateway API's conformance suite in the cluster that is up
    Conformance(conformance::Options),
    /// Make generated files anew: types out of the Gateway API's CRDs, and the CRD of SanmonConfig
    Codegen,
    /// Check the house rules alone: layers, file lengths, headers, links
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
        Command::Setup => setup::require(&workspace).map(drop),
        Command::Build { alone } => {
            let purpose = if alone {
                build::Purpose::Image
            } else {
                build::Purpose::Use
            };
            build::binary(&workspace, purpose).map(drop)
        }
        Command::Demo { keep } => {
            let ending = if keep {
                demo::Ending::Keep
            } else {
                demo::Ending::CleanUp
            };
            demo::run(&workspace, ending)
        }
        Command::Test { full, filter } => {
            let extent = if full {
                test::Extent::Full
            } else {
                test::Extent::Usual
            };
            test::run(&workspace, extent, filter.as_deref())
        }
        Command::Lint => lint::run(&workspace),
        Command::Bench { subject } => bench::run(&workspace, subject),
        Command::Cluster { action } => cluster::run(&workspace, action),
        Command::Conformance(options) => conformance::run(&workspace, &options),
        Command::Codegen => codegen::run(&workspace, codegen::Action::Write),
        Command::Tidy => tidy::check(&workspace),
        Command::BuildEbpf { features } => {
            let tools = setup::require(&workspace)?;
            let object = ebpf::build(&workspace, &tools, &features)?;
            println!("{}", object.display());
            Ok(())
        }
    }
}
