//! The test cluster: a real control plane and nodes of ours on a LAN of namespaces, until SIGTERM. On SIGHUP it starts
//! again what has ended of the control plane.
//!
//! `cargo xtask cluster up` builds and starts it. It knows nothing of what runs in the cluster.

#![forbid(unsafe_code)]

mod clock;
mod control_plane;
mod identity;
mod kubelet;
mod network;
mod node;
mod process;
mod scheduler;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use gateway_vm_tests::Task;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

use crate::control_plane::ControlPlane;
use crate::identity::Identities;
use crate::kubelet::Settings;
use crate::network::Network;
use crate::node::Node;

/// What the program needs to know.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where keys, logs and data go; the lock in it lasts as long as the cluster
    #[arg(long)]
    folder: PathBuf,
    /// The folder of etcd
    #[arg(long)]
    etcd: PathBuf,
    /// The folder of kube-apiserver, kube-controller-manager and kubectl
    #[arg(long)]
    kubernetes: PathBuf,
    /// How many nodes there are
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=NODES_MAX))]
    nodes: u8,
    /// The program of an image, by the image's name without its tag
    #[arg(long = "image", value_name = "NAME=PROGRAM", value_parser = image)]
    images: Vec<(String, PathBuf)>,
}

/// Their addresses have room for more; a machine that can start a few has little left to run them.
const NODES_MAX: i64 = 9;

fn image(text: &str) -> Result<(String, PathBuf), String> {
    let (name, program) = text.split_once('=').ok_or("NAME=PROGRAM is wanted")?;
    let program = PathBuf::from(program);
    if !program.is_file() {
        return Err(format!("there is no program {}", program.display()));
    }
    Ok((name.to_owned(), program))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _unheard = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGHUP);
    // Before the first thread: they inherit the mask, and the signals wait for the end of this function.
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
    let _lock = lock(&arguments.folder)?;
    let mut cluster = Cluster::start(arguments)?;
    tell("ready");
    let mut signal = signals.wait()?;
    while signal == Signal::SIGHUP {
        cluster.revive(arguments)?;
        signal = signals.wait()?;
    }
    tell(&format!("ends after {signal}"));
    drop(cluster);
    Ok(())
}

/// All of it; each part ends before what it stands on.
#[derive(Debug)]
struct Cluster {
    _scheduler: Task<()>,
    _nodes: Vec<Node>,
    control_plane: ControlPlane,
    identities: Identities,
    network: Network,
}

impl Cluster {
    fn start(arguments: &Arguments) -> anyhow::Result<Self> {
        let network = Network::new(arguments.nodes)?;
        let identities = Identities::create(
            &arguments.folder,
            network.server.address,
            &network.node_names(),
        )?;
        let control_plane = ControlPlane::start(arguments, &network.server, &identities)?;
        network.write_scripts(arguments, &identities.administrator)?;
        let nodes = start_nodes(arguments, &network, &identities)?;
        let scheduler = identities.scheduler.clone();
        let scheduler = network.server.namespace.spawn(move || async move {
            scheduler::run(control_plane::client(&scheduler).await?).await
        });
        Ok(Self {
            _scheduler: scheduler,
            _nodes: nodes,
            control_plane,
            identities,
            network,
        })
    }

    fn revive(&mut self, arguments: &Arguments) -> anyhow::Result<()> {
        let server = &self.network.server;
        self.control_plane
            .revive(arguments, server, &self.identities)
    }
}

fn start_nodes(
    arguments: &Arguments,
    network: &Network,
    identities: &Identities,
) -> anyhow::Result<Vec<Node>> {
    let folder = |name: &str| {
        let folder = arguments.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        anyhow::Ok(folder)
    };
    let mut nodes = Vec::new();
    for (host, number) in network.nodes.iter().zip(1..) {
        let name = host.namespace.name();
        let kubeconfig = identities.node(name);
        let settings = Settings {
            images: arguments.images.iter().cloned().collect(),
            logs: folder("logs/pods")?,
            mount_point: folder("mount")?,
            host_files: folder(&format!("hosts/{name}"))?,
            api_server: network.server.address,
            number,
        };
        nodes.push(Node::start(Arc::clone(host), kubeconfig, settings)?);
    }
    Ok(nodes)
}

/// Says on standard error, which is the cluster's log, what went wrong without being the end.
pub(crate) fn tell_error(error: &anyhow::Error) {
    let _unheard = writeln!(std::io::stderr(), "{error:#}");
}

/// Says something to whoever started this and may have left since.
fn tell(line: &str) {
    let mut output = std::io::stdout();
    let _unheard = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// Takes the lock that says that the cluster runs, and notes whose it is.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.try_lock()
        .with_context(|| format!("another cluster holds {}", path.display()))?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}
