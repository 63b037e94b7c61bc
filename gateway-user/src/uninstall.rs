//! `sanmon uninstall`: removes every trace of an agent that is dead.

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::UninstallArguments;
use crate::output;
use crate::routes::Routes;

pub(crate) fn run(arguments: &UninstallArguments) -> anyhow::Result<ExitCode> {
    let mut removed = gateway_l4::uninstall(&arguments.bpf_root)
        .with_context(|| format!("cannot remove {}", arguments.bpf_root.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let routes = runtime.block_on(async { Routes::connect()?.remove().await });
    removed.extend(routes.context("cannot remove the routes of the VIPs")?);
    if removed.is_empty() {
        output::print("nothing to remove")?;
    }
    for trace in removed {
        output::print(&format!("removed {trace}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
