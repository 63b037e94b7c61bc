//! The command line as it is written; what it means is made of it in `config`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::output::{self, Format};

/// Where the running agent is asked if nothing else is said.
const ADMIN: &str = "127.0.0.1:9190";
/// Where the pins are if nothing else is said.
const BPF_ROOT: &str = "/sys/fs/bpf/sanmon";

/// Sanmon announces, steers and terminates the traffic of Gateways.
#[derive(Debug, Parser)]
#[command(name = "sanmon", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: LogArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the Gateways in a folder of YAML files, without a cluster
    Run(RunArguments),
    /// Serve the Gateways of a Kubernetes cluster, as one of its DaemonSet's pods
    Agent(AgentArguments),
    /// Say what would become of the objects in a folder; needs no root
    Check(CheckArguments),
    /// Say what happens to a request, and why
    Explain(ExplainArguments),
    /// Ask the running agent
    Get(GetArguments),
    /// Remove what a dead agent left: programs, maps, routes and rules
    Uninstall(UninstallArguments),
    /// Print the version
    Version(VersionArguments),
    /// Print a completion script
    Completion(CompletionArguments),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LogArguments {
    /// What is logged: error, warn, info, debug, trace, or directives like `info,gateway_l7=debug`
    #[arg(
        long,
        global = true,
        env = "RUST_LOG",
        default_value = "info",
        value_name = "LEVEL"
    )]
    pub(crate) log_level: String,
    /// How it is written to standard error
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The folder: every *.yaml and *.yml below it is read and watched
    #[arg(long, value_name = "DIR")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) node: NodeArguments,
    /// Leave programs, routes and rules in place at Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentArguments {
    /// The API server's address, so that no ClusterIP is needed; with the pod's service account
    #[arg(long, value_name = "URL", conflicts_with = "kubeconfig")]
    pub(crate) api_server: Option<http::Uri>,
    /// A kubeconfig, for an agent that is no pod
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The namespace of the agents' Lease [default: that of the pod, else sanmon-system]
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    #[command(flatten)]
    pub(crate) node: NodeArguments,
}

/// How a node serves, wherever its configuration comes from.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// This node's name [default: the host name]
    #[arg(long)]
    pub(crate) node: Option<String>,
    /// An interface to announce on; may be repeated [default: those whose subnet holds a pool address]
    #[arg(long = "interface", value_name = "IFACE")]
    pub(crate) interfaces: Vec<String>,
    /// Where /healthz, /readyz, /metrics, /snapshot, /conditions and /explain are served
    #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN)]
    pub(crate) admin: SocketAddr,
    /// Where /metrics, /healthz and /readyz alone are served as well [default: nowhere]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) metrics: Option<SocketAddr>,
    /// The directory of the pinned programs and maps
    #[arg(long, value_name = "DIR", default_value = BPF_ROOT)]
    pub(crate) bpf_root: PathBuf,
    /// Where the next process of this node finds this one, and takes over from it [default: nowhere]
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
    /// Threads that serve HTTP [default: the cores that the process may use]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// How it is printed
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The method
    pub(crate) method: String,
    /// Scheme, host, port and path
    pub(crate) url: String,
    /// A header of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE")]
    pub(crate) headers: Vec<String>,
    /// The server name of the TLS handshake [default: the host of the URL]
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// Explain by the objects in a folder [default: by what the running agent serves]
    #[arg(long, value_name = "DIR", conflicts_with = "admin")]
    pub(crate) config: Option<PathBuf>,
    /// Where the agent's admin server is
    #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN)]
    pub(crate) admin: SocketAddr,
    /// Show the matches for other paths, too
    #[arg(long)]
    pub(crate) all: bool,
    /// How it is printed
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// What is asked for
    pub(crate) subject: Subject,
    /// Where the agent's admin server is
    #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN)]
    pub(crate) admin: SocketAddr,
    /// How it is printed
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Subject {
    Gateways,
    Routes,
    Owners,
    Neighbors,
    Vips,
    Services,
    Endpoints,
}

#[derive(Debug, Args)]
pub(crate) struct UninstallArguments {
    /// The directory of the pinned programs and maps
    #[arg(long, value_name = "DIR", default_value = BPF_ROOT)]
    pub(crate) bpf_root: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VersionArguments {
    /// How it is printed
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionArguments {
    /// The shell
    pub(crate) shell: Shell,
}

/// Prints a completion script.
pub(crate) fn complete(arguments: &CompletionArguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "sanmon", &mut script);
    output::print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
