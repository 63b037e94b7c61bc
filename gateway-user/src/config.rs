//! What the arguments of `sanmon run` and `sanmon agent` mean, checked once.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use gateway_control::cluster::{self, Connection};
use gateway_control::{Folder, leader};
use gateway_ir::NodeName;

use crate::cli::{AgentArguments, NodeArguments, RunArguments};

/// Where the Lease is if the process runs in no pod.
const NAMESPACE: &str = "sanmon-system";
/// The agents' Lease.
const LEASE: &str = "sanmon-leader";

/// Where the objects come from.
#[derive(Debug)]
pub(crate) enum Source {
    Folder(Folder),
    Cluster(Box<cluster::Settings>),
}

/// How this process runs.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) source: Source,
    pub(crate) node: NodeName,
    /// The interfaces that the operator named; empty: the configuration decides.
    pub(crate) interfaces: Vec<String>,
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) bpf_root: PathBuf,
    pub(crate) run_dir: Option<PathBuf>,
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
    /// Checks the arguments of `sanmon run`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn run(arguments: RunArguments) -> anyhow::Result<Self> {
        let folder = Folder::open(&arguments.config)
            .with_context(|| format!("cannot read --config {}", arguments.config.display()))?;
        let at_interrupt = if arguments.keep {
            AtInterrupt::Keep
        } else {
            AtInterrupt::Remove
        };
        Self::new(arguments.node, Source::Folder(folder), at_interrupt)
    }

    /// Checks the arguments of `sanmon agent`.
    ///
    /// # Errors
    /// When the node has no name.
    pub(crate) fn agent(arguments: AgentArguments) -> anyhow::Result<Self> {
        let connection = match (arguments.kubeconfig, arguments.api_server) {
            (Some(file), _) => Connection::Kubeconfig(file),
            (None, Some(server)) => Connection::Server(server),
            (None, None) => Connection::InCluster,
        };
        let namespace = arguments.namespace.or_else(cluster::own_namespace);
        let settings = cluster::Settings {
            connection,
            controller: gateway_translate::Settings::default().controller_name,
            leader: leader::Settings {
                namespace: namespace.unwrap_or_else(|| NAMESPACE.to_owned()),
                name: LEASE.to_owned(),
                identity: String::new(),
            },
        };
        let source = Source::Cluster(Box::new(settings));
        let mut config = Self::new(arguments.node, source, AtInterrupt::Keep)?;
        if let Source::Cluster(settings) = &mut config.source {
            settings.leader.identity = identity(&config.node)?;
        }
        Ok(config)
    }

    /// Fills in what depends on this machine.
    fn new(
        arguments: NodeArguments,
        source: Source,
        at_interrupt: AtInterrupt,
    ) -> anyhow::Result<Self> {
        let node = match arguments.node {
            Some(node) => node,
            None => host_name()?,
        };
        // The cores of the affinity mask that the process inherited, not those of the machine.
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            source,
            node: NodeName(node),
            interfaces: arguments.interfaces,
            admin: arguments.admin,
            metrics: arguments.metrics,
            bpf_root: arguments.bpf_root,
            run_dir: arguments.run_dir,
            workers: arguments.workers.unwrap_or(cores),
            at_interrupt,
        })
    }
}

/// A name that no other process has, also not the one before on this node.
fn identity(node: &NodeName) -> anyhow::Result<String> {
    let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .context("cannot make a name for the Lease")?;
    Ok(format!("{}_{}", node.0, random.trim_end()))
}

fn host_name() -> anyhow::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .context("cannot read the host name; name the node: --node")?;
    Ok(name.trim_end().to_owned())
}
