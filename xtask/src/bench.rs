//! Builds what is measured, as it is released, and runs the benchmarks of `vm-tests`.

use clap::ValueEnum;

use crate::build;
use crate::cluster::Cluster;
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
    /// How long nobody answers for an address when its owner fails, 100 times of each kind (more than an hour)
    Failover,
    /// What a change costs in a cluster, against a real API server (its programs are built with Go)
    Control,
}

/// Where the benchmarks on a LAN are.
const LAN: [&str; 3] = ["--package", "gateway-vm-tests", "--bench"];

/// Runs one benchmark, or all of them.
pub(crate) fn run(workspace: &Workspace, subject: Option<Subject>) -> anyhow::Result<()> {
    let subjects = match subject {
        Some(ref one) => std::slice::from_ref(one),
        None => Subject::value_variants(),
    };
    for subject in subjects {
        let mut command = run::cargo(workspace);
        command.args(["bench", "--locked"]);
        match subject {
            Subject::Packets => {
                build::object(workspace)?;
                command.args(LAN).arg("packets");
            }
            Subject::Requests => {
                let binary = build::binary(workspace, build::Purpose::Measurement)?;
                command.args(LAN).arg("requests").env("SANMON_BIN", binary);
            }
            Subject::Failover => {
                let binary = build::binary(workspace, build::Purpose::Measurement)?;
                command.args(LAN).arg("failover").env("SANMON_BIN", binary);
            }
            Subject::Routes => {
                command.args(LAN).arg("routes");
            }
            Subject::Control => {
                Cluster::programs(workspace)?;
                let binary = build::binary(workspace, build::Purpose::Measurement)?;
                command
                    .args(["--package", "gateway-testbed", "--bench", "control"])
                    .env("SANMON_BIN", binary);
            }
        }
        run::visibly(&mut command)?;
    }
    Ok(())
}
