//! Builds what is measured, as it is released, and runs the benchmarks of `vm-tests`.

use clap::ValueEnum;

use crate::build;
use crate::run;
use crate::workspace::Workspace;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Nanoseconds per packet of the eBPF programs, beside a floor program
    Packets,
    /// CPU time per request of the proxy, beside nginx and HAProxy where they are installed
    Requests,
    /// What many routes cost: instructions of a lookup, time and allocations of a translation
    Routes,
}

/// Runs one benchmark, or all of them.
pub(crate) fn run(workspace: &Workspace, subject: Option<Subject>) -> anyhow::Result<()> {
    let subjects = match subject {
        Some(ref one) => std::slice::from_ref(one),
        None => Subject::value_variants(),
    };
    for subject in subjects {
        let mut command = run::cargo(workspace);
        command.args([
            "bench",
            "--locked",
            "--package",
            "gateway-vm-tests",
            "--bench",
        ]);
        match subject {
            Subject::Packets => {
                build::object(workspace)?;
                command.arg("packets");
            }
            Subject::Requests => {
                let binary = build::binary(workspace, build::Purpose::Measurement)?;
                command.arg("requests").env("SANMON_BIN", binary);
            }
            Subject::Routes => {
                command.arg("routes");
            }
        }
        run::visibly(&mut command)?;
    }
    Ok(())
}
