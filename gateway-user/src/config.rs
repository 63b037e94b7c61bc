//! What the arguments of `sanmon run` mean, checked once.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use gateway_control::Folder;
use gateway_ir::NodeName;

use crate::cli::RunArguments;

/// How this process runs.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) folder: Folder,
    pub(crate) node: NodeName,
    /// The interfaces that the operator named; empty: the configuration decides.
    pub(crate) interfaces: Vec<String>,
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) bpf_root: PathBuf,
    pub(crate) workers: NonZeroUsize,
    pub(crate) at_interrupt: AtInterrupt,
}

/// What Ctrl-C leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtInterrupt {
    /// Nothing.
    Remove,
    /// Programs, routes and rules stay, as at SIGTERM.
    Keep,
}

impl Config {
    /// Checks the arguments and fills in what depends on this machine.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn new(arguments: RunArguments) -> anyhow::Result<Self> {
        let folder = Folder::open(&arguments.config)
            .with_context(|| format!("cannot read --config {}", arguments.config.display()))?;
        let node = match arguments.node {
            Some(node) => node,
            None => host_name()?,
        };
        // The cores of the affinity mask that the process inherited, not those of the machine.
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            folder,
            node: NodeName(node),
            interfaces: arguments.interfaces,
            admin: arguments.admin,
            metrics: arguments.metrics,
            bpf_root: arguments.bpf_root,
            workers: arguments.workers.unwrap_or(cores),
            at_interrupt: if arguments.keep {
                AtInterrupt::Keep
            } else {
                AtInterrupt::Remove
            },
        })
    }
}

fn host_name() -> anyhow::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .context("cannot read the host name; name the node: --node")?;
    Ok(name.trim_end().to_owned())
}
