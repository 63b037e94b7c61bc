//! `cargo xtask demo`: a LAN out of network namespaces, `sanmon run` on the example folder, and a line of evidence for
//! each thing that it promises. Without root gate 3 alone, on loopback.

#![forbid(unsafe_code)]

mod act_announce;
mod act_proxy;
mod act_steer;
mod alone;
mod door;
mod example;
mod interrupt;
mod play;
mod scene;
mod stage;

use std::process::ExitCode;

use anyhow::bail;
use gateway_vm_tests::{Namespace, sanmon};

use crate::interrupt::Cleanup;
use crate::stage::Stage;

/// Whether the LAN outlives the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Everything is removed.
    Remove,
    /// It stays up until Ctrl-C.
    Keep,
}

/// Why only gate 3 can be shown.
#[derive(Debug)]
enum Obstacle {
    /// The user may not make namespaces.
    NoRoot,
    /// Root may not either: a container.
    NoNamespaces(anyhow::Error),
}

fn main() -> ExitCode {
    let cleanup = Cleanup::install();
    let mut stage = Stage::new();
    match run(&mut stage, &cleanup) {
        Ok(()) if stage.all_held() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            stage.fail(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(stage: &mut Stage, cleanup: &Cleanup) -> anyhow::Result<()> {
    let mut ending = Ending::Remove;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--keep" => ending = Ending::Keep,
            other => bail!("unknown argument {other}; the demo takes --keep"),
        }
    }
    let binary = sanmon::binary();
    if !binary.exists() {
        bail!(
            "no {}: run `cargo xtask demo`, which builds it",
            binary.display()
        );
    }
    if !nix::unistd::geteuid().is_root() {
        return alone::play(stage, cleanup, ending, Obstacle::NoRoot);
    }
    match Namespace::new("trial") {
        Ok(_trial) => play::play(stage, cleanup, ending),
        Err(error) => alone::play(stage, cleanup, ending, Obstacle::NoNamespaces(error)),
    }
}
