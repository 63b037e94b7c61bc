//! `cargo xtask cluster`: starts, shows and ends the test cluster.
//!
//! The cluster is a process of its own (`testbed`, in `vm-tests/cluster`) that holds its namespaces. It locks a file as
//! long as it lives, which tells a running one from what a dead one has left.

mod go;
mod install;
mod module;
mod programs;
mod versions;

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Subcommand;

use crate::build;
use crate::run;
use crate::setup;
use crate::workspace::Workspace;
use programs::Programs;
use versions::Versions;

/// How long the cluster may take to end: pods have their time to stop.
const END_MAX: Duration = Duration::from_secs(60);
/// Sanmon's own image: the debug build of this checkout.
const SANMON_IMAGE: &str = "ghcr.io/sanmon/sanmon";
/// The image of the conformance suite's backends.
const ECHO_IMAGE: &str = "registry.k8s.io/gateway-api/conformance/echo-basic";
/// The line that `testbed` prints when all of it is up.
const READY: &str = "ready";

/// What to do with the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum Action {
    /// Build what it needs (ten minutes the first time), start it and install this checkout's Sanmon in it; it runs
    /// until `down`. If it runs already, replace its agents
    Up {
        /// How many nodes a new one has
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
    },
    /// End it
    Down,
    /// Say whether it runs, and what is in it
    Status,
}

/// Does it.
pub(crate) fn run(workspace: &Workspace, action: Action) -> anyhow::Result<()> {
    let cluster = Cluster::of(workspace);
    match action {
        Action::Up { nodes } => cluster.up(workspace, nodes),
        Action::Down => cluster.down(),
        Action::Status => cluster.status(),
    }
}

/// The argument that makes a program an image.
fn image(name: &str, program: &Path) -> String {
    format!("--image={name}={}", program.display())
}

/// The Gateway API's conformance suite.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The program.
    pub(crate) program: PathBuf,
    /// The version of the Gateway API that it belongs to.
    pub(crate) version: String,
}

impl Suite {
    /// Builds it if it is not there yet.
    pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Self> {
        let versions = Versions::read(workspace)?;
        Ok(Self {
            program: programs::suite(workspace, &versions)?,
            version: versions.gateway_api,
        })
    }
}

/// The cluster of this checkout.
pub(crate) struct Cluster {
    /// Its keys, logs and data.
    folder: PathBuf,
}

/// Whether the cluster's process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    Stopped,
}

impl Cluster {
    /// The one of this checkout, up or not.
    pub(crate) fn of(workspace: &Workspace) -> Self {
        Self {
            folder: workspace.target().join("cluster"),
        }
    }

    /// Whether it runs.
    pub(crate) fn is_up(&self) -> anyhow::Result<bool> {
        Ok(self.state()? == State::Runs)
    }

    /// Its keys, logs and data.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program that runs another one on the cluster's client.
    pub(crate) fn client(&self) -> PathBuf {
        self.folder.join("client")
    }

    /// Builds what every cluster needs, if it is not there yet.
    pub(crate) fn programs(workspace: &Workspace) -> anyhow::Result<()> {
        let versions = Versions::read(workspace)?;
        Programs::build(workspace, &versions)?;
        programs::crds(workspace, &versions).map(drop)
    }

    /// Starts it if it does not run, and installs this checkout's Sanmon.
    pub(crate) fn up(&self, workspace: &Workspace, nodes: u8) -> anyhow::Result<()> {
        if !setup::is_root() {
            bail!("the cluster is made of network namespaces, which needs root");
        }
        let versions = Versions::read(workspace)?;
        let programs = Programs::build(workspace, &versions)?;
        let gateway_api = programs::crds(workspace, &versions)?;
        build::object(workspace)?;
        println!("building sanmon and the cluster");
        run::visibly(run::cargo(workspace).args([
            "build",
            "--locked",
            "--package",
            "gateway-testbed",
            "--package",
            "gateway-user",
            "--bins",
        ]))?;
        let agents = match self.state()? {
            State::Runs => {
                println!("the cluster is up already; its agents are replaced");
                install::Agents::Old
            }
            State::Stopped => {
                self.clear()?;
                self.start(workspace, &programs, nodes)?;
                install::Agents::None
            }
        };
        let start = Instant::now();
        install::all(self, workspace, &gateway_api, agents)?;
        println!("Sanmon serves after {}", run::elapsed(start.elapsed()));
        self.show()?;
        // For a test of the chart; nothing here needs it.
        programs::helm(workspace, &versions)
    }

    /// Removes what a former cluster has left; the lock says that nobody uses it.
    fn clear(&self) -> anyhow::Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))
    }

    fn start(&self, workspace: &Workspace, programs: &Programs, nodes: u8) -> anyhow::Result<()> {
        let log = self.folder.join("testbed.log");
        let errors =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let program = workspace.debug_binary("testbed");
        let start = Instant::now();
        let mut child = Command::new(&program)
            .arg("--folder")
            .arg(&self.folder)
            .arg("--etcd")
            .arg(&programs.etcd)
            .arg("--kubernetes")
            .arg(&programs.kubernetes)
            .args(["--nodes", &nodes.to_string()])
            .arg(image(SANMON_IMAGE, &workspace.debug_binary("sanmon")))
            .arg(image(ECHO_IMAGE, &programs.echo.join("echo-basic")))
            // A Ctrl-C in this terminal, later on, is not meant for it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("the pipe is gone")?;
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what the cluster says")?;
            if line == READY {
                println!("the cluster is up after {}", run::elapsed(start.elapsed()));
                return Ok(());
            }
            println!("cluster: {line}");
        }
        let status = child.wait().context("lost the cluster")?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        bail!(
            "the cluster did not come up ({status}); {}:\n{said}",
            log.display()
        )
    }

    /// Ends it, if it runs.
    pub(crate) fn down(&self) -> anyhow::Result<()> {
        if self.state()? == State::Stopped {
            println!("the cluster is down");
            return Ok(());
        }
        let process = self.process()?;
        run::quietly(Command::new("kill").args(["-TERM", &process]))?;
        let deadline = Instant::now() + END_MAX;
        while self.state()? == State::Runs {
            if Instant::now() > deadline {
                bail!("process {process} of the cluster goes on after {END_MAX:?}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        println!(
            "the cluster is down; its logs are in {}",
            self.folder.display()
        );
        Ok(())
    }

    fn status(&self) -> anyhow::Result<()> {
        match self.state()? {
            State::Stopped => {
                println!("the cluster is down; `cargo xtask cluster up` starts it");
                Ok(())
            }
            State::Runs => {
                println!("the cluster is up: process {}", self.process()?);
                self.show()?;
                run::visibly(Command::new(self.kubectl()).args(["get", "--raw", "/readyz"]))?;
                println!();
                run::visibly(Command::new(self.kubectl()).args([
                    "get",
                    "nodes,pods",
                    "--all-namespaces",
                    "--output=wide",
                ]))
            }
        }
    }

    fn show(&self) -> anyhow::Result<()> {
        println!(
            "kubectl, on the cluster's network: {}",
            self.kubectl().display()
        );
        println!("logs: {}", self.folder.join("logs").display());
        Ok(())
    }

    /// kubectl, on the cluster's client, with all rights.
    pub(crate) fn kubectl(&self) -> PathBuf {
        self.folder.join("kubectl")
    }

    fn process(&self) -> anyhow::Result<String> {
        let path = self.folder.join("lock");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text.trim().to_owned())
    }

    fn state(&self) -> anyhow::Result<State> {
        let path = self.folder.join("lock");
        if !path.exists() {
            return Ok(State::Stopped);
        }
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(State::Stopped),
            Err(TryLockError::WouldBlock) => Ok(State::Runs),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}
