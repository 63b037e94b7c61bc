//! `sanmon`: a Gateway API implementation for bare-metal Kubernetes. Reads the command line and hands over.

#![deny(unsafe_code)]

mod admin;
mod admin_client;
mod agent;
mod board;
mod check;
mod cli;
mod config;
mod conflicts;
mod explain;
mod explanation;
mod gates;
mod get;
mod interfaces;
mod links;
mod memory;
mod moves;
mod output;
mod routes;
mod succession;
mod telemetry;
mod uninstall;
mod version;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::use_small_pages();
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(arguments) => wire::run(&cli.log, || Config::run(arguments)),
        Command::Agent(arguments) => wire::run(&cli.log, || Config::agent(arguments)),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Get(arguments) => get::run(&arguments),
        Command::Uninstall(arguments) => uninstall::run(&arguments),
        Command::Version(arguments) => version::run(&arguments),
        Command::Completion(arguments) => cli::complete(&arguments),
    };
    result.unwrap_or_else(|error| output::fail(&error))
}
