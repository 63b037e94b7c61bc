//! Who is measured: Sanmon in a cluster of its own, or whoever serves a GatewayClass in a cluster that is there.

use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};

use crate::bed::{self, Bed, PATIENCE};
use crate::settings::{Foreign, Settings};

/// A Gateway that serves the first example, without a route.
pub(crate) struct Target {
    /// Where it is reached from this thread's network.
    pub(crate) address: SocketAddr,
    /// The way to the API server from there.
    pub(crate) kubeconfig: PathBuf,
    /// The cluster, if it is our own.
    pub(crate) cluster: Option<Bed>,
}

impl Target {
    /// Makes it, and moves this thread to where its clients are; none if something is missing, which is said.
    pub(crate) fn find(settings: &Settings) -> anyhow::Result<Option<Self>> {
        if let Some(foreign) = &settings.foreign {
            return Self::foreign(foreign).map(Some);
        }
        let Some(cluster) = Bed::start("control", 1)? else {
            return Ok(None);
        };
        cluster.install_sanmon()?;
        let address = cluster.serve()?;
        // It takes every host, so that nobody could tell when another route is there.
        cluster.kubectl(&["delete", "--namespace=first", "httproute/echo"])?;
        let (network, kubeconfig) = read(&cluster.client())?;
        setns(network, CloneFlags::CLONE_NEWNET)?;
        Ok(Some(Self {
            address,
            kubeconfig,
            cluster: Some(cluster),
        }))
    }

    fn foreign(foreign: &Foreign) -> anyhow::Result<Self> {
        let kubectl = Kubectl(&foreign.kubeconfig);
        let example = bed::checkout("examples/first-gateway/first-gateway.yaml");
        let example = fs::read_to_string(example)?;
        let class = format!("gatewayClassName: {}", foreign.class);
        let example = example.replace("gatewayClassName: sanmon", &class);
        kubectl.run(&["apply", "--filename=-"], &example)?;
        let patience = format!("--timeout={}s", PATIENCE.as_secs());
        let gateway = ["--namespace=first", "gateway/first"];
        let programmed = ["wait", &patience, "--for=condition=Programmed"];
        kubectl.run(&[programmed.as_slice(), &gateway].concat(), "")?;
        let deployment = ["--namespace=first", "deployment/echo"];
        let rolled_out = ["rollout", "status", &patience];
        kubectl.run(&[rolled_out.as_slice(), &deployment].concat(), "")?;
        kubectl.run(&["delete", "--namespace=first", "httproute/echo"], "")?;
        let path = "--output=jsonpath={.status.addresses[0].value}";
        let address = kubectl.run(&[["get", path].as_slice(), &gateway].concat(), "")?;
        let address = match foreign.address {
            Some(address) => address,
            None => {
                let address: IpAddr = address.parse().with_context(|| {
                    format!("the Gateway's address {address:?} needs SANMON_BENCH_ADDRESS")
                })?;
                SocketAddr::new(address, 80)
            }
        };
        Ok(Self {
            address,
            kubeconfig: foreign.kubeconfig.clone(),
            cluster: None,
        })
    }

    /// Takes away what was put into a cluster that stays.
    pub(crate) fn leave(self) -> anyhow::Result<()> {
        if self.cluster.is_none() {
            let kubectl = Kubectl(&self.kubeconfig);
            kubectl.run(&["delete", "namespace/first"], "")?;
        }
        Ok(())
    }
}

/// The kubectl of this machine.
struct Kubectl<'a>(&'a Path);

impl Kubectl<'_> {
    fn run(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(self.0)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("kubectl does not start")?;
        let pipe = child.stdin.take().context("the pipe is gone")?;
        { pipe }.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl {} has failed", arguments.join(" "));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The network and the kubeconfig of the script that runs programs on the cluster's client.
fn read(script: &Path) -> anyhow::Result<(File, PathBuf)> {
    let text = fs::read_to_string(script)?;
    let (_, rest) = text
        .split_once("KUBECONFIG='")
        .context("the script names no kubeconfig")?;
    let (kubeconfig, _) = rest.split_once('\'').context("the name has no end")?;
    let mut words = text.split_whitespace();
    words
        .find(|it| *it == "--target")
        .context("the script enters nothing")?;
    let thread = words.next().context("the script names no thread")?;
    let network = File::open(format!("/proc/{thread}/ns/net"))?;
    Ok((network, PathBuf::from(kubeconfig)))
}
