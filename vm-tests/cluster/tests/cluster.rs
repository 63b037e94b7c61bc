//! The cluster itself: that pods get what their objects say, and that nothing is left when it ends.
//!
//! Needs root and the programs that `cargo xtask cluster up` builds; says that it is skipped without them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const VERSIONS: &str = include_str!("../versions.toml");
/// How long a pod may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const PODS: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: reader}
spec:
  selector: {matchLabels: {app: reader}}
  template:
    metadata: {labels: {app: reader}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes:
      - {name: secret, secret: {secretName: late}}
      containers:
      - name: reader
        image: testbed/sh:v1
        args: ["-c", "cat /etc/testbed/word; echo $NODE; exec sleep 600"]
        env:
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        volumeMounts:
        - {name: secret, mountPath: /etc/testbed}
"#;

#[test]
fn pods_wait_for_their_secret_and_log_it_and_end_when_deleted() -> anyhow::Result<()> {
    let test = "pods_wait_for_their_secret_and_log_it_and_end_when_deleted";
    let Some(cluster) = Cluster::start(test)? else {
        return Ok(());
    };

    cluster.apply(PODS)?;
    cluster.kubectl(&[
        "wait",
        "daemonset/reader",
        "--for=jsonpath={.status.desiredNumberScheduled}=2",
    ])?;
    cluster.kubectl(&[
        "create",
        "secret",
        "generic",
        "late",
        "--from-literal=word=hello\n",
    ])?;
    cluster.kubectl(&["rollout", "status", "daemonset/reader"])?;

    for node in ["node-1", "node-2"] {
        let field = format!("--field-selector=spec.nodeName={node}");
        let pod = cluster.kubectl(&["get", "pods", "--output=name", &field])?;
        let said = cluster.kubectl(&["logs", pod.trim()])?;
        assert_eq!(said, format!("hello\n{node}\n"));
    }
    assert!(
        !Path::new("/etc/testbed").exists(),
        "a volume leaked out of its pod"
    );

    cluster.kubectl(&["delete", "daemonset", "reader", "--cascade=foreground"])?;
    assert_eq!(cluster.kubectl(&["get", "pods", "--output=name"])?, "");
    Ok(())
}

/// A cluster of two nodes that ends with this value.
struct Cluster {
    process: Child,
    folder: TempDir,
}

impl Cluster {
    fn start(test: &str) -> anyhow::Result<Option<Self>> {
        if gateway_vm_tests::skips(test) {
            return Ok(None);
        }
        let (etcd, kubernetes) = (programs("etcd")?, programs("kubernetes")?);
        if !etcd.is_dir() || !kubernetes.is_dir() {
            let why = "needs the programs that `cargo xtask cluster up` builds";
            // Past the capture of the harness, so that it can be counted.
            writeln!(std::io::stderr(), "skipped: {test}: {why}")?;
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        let process = Command::new(env!("CARGO_BIN_EXE_testbed"))
            .arg("--folder")
            .arg(folder.path())
            .arg("--etcd")
            .arg(etcd)
            .arg("--kubernetes")
            .arg(kubernetes)
            .args(["--nodes=2", "--image=testbed/sh=/bin/sh"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut cluster = Self { process, folder };
        let output = cluster.process.stdout.take().context("the pipe is gone")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "the cluster does not come up: {line}");
        Ok(Some(cluster))
    }

    fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.folder.path().join("kubectl"));
        command.args(arguments).stdin(Stdio::null());
        if matches!(arguments.first(), Some(&("wait" | "rollout" | "delete"))) {
            command.arg(format!("--timeout={}s", PATIENCE.as_secs()));
        }
        let output = command.output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {why}", arguments.join(" "));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn apply(&self, objects: &str) -> anyhow::Result<()> {
        let file = self.folder.path().join("objects.yaml");
        std::fs::write(&file, objects)?;
        let file = file.to_string_lossy();
        self.kubectl(&["apply", "--filename", &file]).map(drop)
    }
}

impl Drop for Cluster {
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

/// The folder of a module's programs.
fn programs(name: &str) -> anyhow::Result<PathBuf> {
    let prefix = format!("{name} = \"");
    let version = VERSIONS
        .lines()
        .find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('"'))
        .with_context(|| format!("no version of {name}"))?;
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let folder = format!(".cache/sanmon/programs/{name}-{version}");
    Ok(Path::new(&home).join(folder))
}
