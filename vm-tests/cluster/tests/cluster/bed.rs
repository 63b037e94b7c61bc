//! A cluster for one test, with Sanmon in it if the test wants it, as users install it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use gateway_vm_tests::sanmon;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

const VERSIONS: &str = include_str!("../../versions.toml");
/// Sanmon's DaemonSet.
const AGENTS: [&str; 2] = ["--namespace=sanmon-system", "daemonset/sanmon"];
/// Who the agents are to the API server.
const AGENT_USER: &str = "system:serviceaccount:sanmon-system:sanmon";
/// The addresses in `sanmon.yaml` that Gateways get unasked.
pub(crate) const POOL: RangeInclusive<IpAddr> =
    IpAddr::V4(Ipv4Addr::new(192, 168, 77, 100))..=IpAddr::V4(Ipv4Addr::new(192, 168, 77, 239));
/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster that ends with this value.
pub(crate) struct Bed {
    process: Child,
    folder: TempDir,
}

impl Bed {
    /// Starts one; none if something is missing, which is said.
    pub(crate) fn start(test: &str, nodes: u8) -> anyhow::Result<Option<Self>> {
        if gateway_vm_tests::skips(test) {
            return Ok(None);
        }
        let folders = ["etcd", "kubernetes", "conformance-images", "gateway-api"];
        let folders = folders.map(programs).into_iter();
        let folders = folders.collect::<anyhow::Result<Vec<_>>>()?;
        let [etcd, kubernetes, echo, _crds] = folders.as_slice() else {
            bail!("four folders are four");
        };
        if !folders.iter().all(|it| it.is_dir()) {
            let why = "needs the programs that `cargo xtask cluster up` builds";
            // Past the capture of the harness, so that it can be counted.
            writeln!(std::io::stderr(), "skipped: {test}: {why}")?;
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        let image = |name: &str, program: &Path| format!("--image={name}={}", program.display());
        let process = Command::new(env!("CARGO_BIN_EXE_testbed"))
            .arg("--folder")
            .arg(folder.path())
            .arg("--etcd")
            .arg(etcd)
            .arg("--kubernetes")
            .arg(kubernetes)
            .args([&format!("--nodes={nodes}"), "--image=testbed/sh=/bin/sh"])
            .arg(image("ghcr.io/sanmon/sanmon", &sanmon::binary()))
            .arg(image(
                "registry.k8s.io/gateway-api/conformance/echo-basic",
                &echo.join("echo-basic"),
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut bed = Self { process, folder };
        let output = bed.process.stdout.take().context("the pipe is gone")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "the cluster does not come up: {line}");
        Ok(Some(bed))
    }

    /// Installs the CRDs of the Gateway API.
    pub(crate) fn install_gateway_api(&self) -> anyhow::Result<()> {
        let crds = programs("gateway-api")?;
        self.apply_folder(&crds)?;
        self.kubectl(&["wait", "crd", "--all", "--for=condition=Established"])?;
        Ok(())
    }

    /// Installs `deploy/`.
    pub(crate) fn install_manifests(&self) -> anyhow::Result<()> {
        self.apply_folder(&checkout("deploy"))?;
        self.kubectl(&["wait", "crd", "--all", "--for=condition=Established"])?;
        Ok(())
    }

    /// Runs kubectl with all rights.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.folder.path().join("kubectl"));
        command.args(arguments).stdin(Stdio::null());
        let waits = match arguments {
            ["rollout", action, ..] => *action == "status",
            [verb, ..] => ["wait", "delete"].contains(verb),
            [] => false,
        };
        if waits {
            command.arg(format!("--timeout={}s", PATIENCE.as_secs()));
        }
        let output = command.output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {why}", arguments.join(" "));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Applies a text of objects.
    pub(crate) fn apply(&self, objects: &str) -> anyhow::Result<()> {
        let file = self.folder.path().join("objects.yaml");
        fs::write(&file, objects)?;
        let file = file.to_string_lossy();
        self.kubectl(&["apply", "--filename", &file]).map(drop)
    }

    /// Asks until the answer is not empty: a field that somebody writes soon.
    pub(crate) fn wait_for_field(&self, object: &[&str], path: &str) -> anyhow::Result<String> {
        let output = format!("--output=jsonpath={path}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let arguments = [&["get"], object, &[output.as_str()]].concat();
            let said = self.kubectl(&arguments)?;
            if !said.is_empty() {
                return Ok(said);
            }
            ensure!(Instant::now() < deadline, "{object:?} has no {path}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Installs Sanmon as `cargo xtask cluster up` does, with the class and the addresses of the test cluster.
    pub(crate) fn install_sanmon(&self) -> anyhow::Result<()> {
        self.install_gateway_api()?;
        self.install_manifests()?;
        let class = checkout("vm-tests/cluster/sanmon.yaml");
        self.kubectl(&["apply", "--filename", &class.to_string_lossy()])?;
        self.kubectl(&[&["rollout", "status"], AGENTS.as_slice()].concat())
            .map(drop)
    }

    /// Puts the first example's application behind a Gateway, and gives its address.
    pub(crate) fn serve(&self) -> anyhow::Result<SocketAddr> {
        let example = checkout("examples/first-gateway");
        self.kubectl(&["apply", "--filename", &example.to_string_lossy()])?;
        let gateway = ["--namespace=first", "gateway/first"];
        self.kubectl(&["rollout", "status", "--namespace=first", "deployment/echo"])?;
        self.kubectl(
            &[
                ["wait"].as_slice(),
                &gateway,
                &["--for=condition=Programmed"],
            ]
            .concat(),
        )?;
        let address = self.wait_for_field(&gateway, "{.status.addresses[0].value}")?;
        let address = address.parse()?;
        // Never one of a node, not even while its gates start.
        ensure!(POOL.contains(&address), "{address} is not of the pool");
        Ok(SocketAddr::new(address, 80))
    }

    /// The script that runs a program on the cluster's client.
    pub(crate) fn client(&self) -> PathBuf {
        self.folder.path().join("client")
    }

    /// A program of the control plane.
    pub(crate) fn program(&self, name: &str) -> anyhow::Result<Pid> {
        let found = self.programs(name)?.into_iter().next();
        found.with_context(|| format!("the cluster runs no {name}"))
    }

    /// Sanmon on the node that answers for an address.
    pub(crate) fn owner(&self, address: IpAddr) -> anyhow::Result<Pid> {
        let agents = self.programs("sanmon")?;
        let address = address.to_string();
        // One that waits for the API server knows nobody.
        let mut known = agents.iter().filter_map(|agent| {
            let said = Command::new("nsenter")
                .arg(format!("--net=/proc/{agent}/ns/net"))
                .arg(sanmon::binary())
                .args(["get", "owners", "--output=json"])
                .output();
            let owners: Vec<Value> = serde_json::from_slice(&said.ok()?.stdout).ok()?;
            let owner = owners
                .iter()
                .find(|it| it.get("address") == Some(&json!(address)));
            Some(owner?.get("node")?.as_str()?.to_owned())
        });
        let node = known.next().context("nobody owns the address")?;
        let node = format!("--node={node}");
        let runs_there = |agent: &Pid| {
            let arguments = fs::read_to_string(format!("/proc/{agent}/cmdline"));
            arguments.is_ok_and(|it| it.split('\0').any(|it| it == node))
        };
        let found = agents.into_iter().find(runs_there);
        found.with_context(|| format!("no agent has {node}"))
    }

    /// Starts again what has ended of the control plane, and waits for the API server.
    pub(crate) fn revive(&self) -> anyhow::Result<()> {
        let ours = Pid::from_raw(i32::try_from(self.process.id())?);
        kill(ours, Signal::SIGHUP)?;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.kubectl(&["get", "--raw=/readyz"]) {
            ensure!(Instant::now() < deadline, "{error:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// What Sanmon has written to the API server so far, oldest first, each as the method and what it was for. Its Leases
    /// are written all the time.
    pub(crate) fn writes(&self) -> anyhow::Result<Vec<String>> {
        let log = fs::read_to_string(self.folder.path().join("logs/audit.log"))?;
        let mut writes = Vec::new();
        for line in log.lines() {
            let event: Value = serde_json::from_str(line)?;
            let text = |path| event.pointer(path).and_then(Value::as_str);
            let text = |path| text(path).unwrap_or_default();
            let resource = text("/objectRef/resource");
            if text("/user/username") == AGENT_USER && resource != "leases" {
                let object = [text("/objectRef/subresource"), text("/objectRef/name")];
                writes.push(
                    [&[text("/verb"), resource], object.as_slice()]
                        .concat()
                        .join(" "),
                );
            }
        }
        Ok(writes)
    }

    /// The programs of a name that the cluster has started.
    fn programs(&self, name: &str) -> anyhow::Result<Vec<Pid>> {
        let mut found = Vec::new();
        let ours = self.process.id().to_string();
        for process in fs::read_dir("/proc")?.flatten() {
            // It may end meanwhile.
            let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            let Some((head, tail)) = stat.rsplit_once(") ") else {
                continue;
            };
            // The kernel keeps 15 characters of a name.
            let is_it = head
                .split_once('(')
                .is_some_and(|it| name.starts_with(it.1));
            if is_it && tail.split(' ').nth(1) == Some(&ours) {
                let number = process.file_name().to_string_lossy().parse()?;
                found.push(Pid::from_raw(number));
            }
        }
        Ok(found)
    }

    fn apply_folder(&self, folder: &Path) -> anyhow::Result<()> {
        let folder = folder.to_string_lossy();
        self.kubectl(&["apply", "--server-side", "--kustomize", &folder])
            .map(drop)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let Ok(process) = i32::try_from(self.process.id()) else {
            return;
        };
        // It may have ended by itself just now.
        let _gone = kill(Pid::from_raw(process), Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _gone = self.process.kill();
                let _ended = self.process.wait();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A folder of this checkout.
pub(crate) fn checkout(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder)
}

/// The folder in the cache of what a line of the versions names.
fn programs(name: &str) -> anyhow::Result<PathBuf> {
    let prefix = format!("{name} = \"");
    let version = VERSIONS
        .lines()
        .find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('"'))
        .with_context(|| format!("no version of {name}"))?;
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let folder = match name {
        "conformance-images" => "echo-basic",
        "gateway-api" => "gateway-api-crds",
        other => other,
    };
    let folder = format!(".cache/sanmon/programs/{folder}-{version}");
    Ok(Path::new(&home).join(folder))
}
