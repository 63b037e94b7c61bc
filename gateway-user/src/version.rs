//! `sanmon version`.

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::VersionArguments;
use crate::output;

#[derive(Serialize)]
struct Version {
    version: &'static str,
    arch: &'static str,
}

pub(crate) fn run(arguments: &VersionArguments) -> anyhow::Result<ExitCode> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        arch: std::env::consts::ARCH,
    };
    output::show(arguments.output, &version, |it| {
        format!("sanmon {} {}", it.version, it.arch)
    })?;
    Ok(ExitCode::SUCCESS)
}
