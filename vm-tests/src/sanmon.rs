//! `sanmon` as a process in a namespace, started, watched and ended as an operator or the kernel would.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Namespace;
use crate::client::{self, Get, Reply, Transport};

/// Where the admin server listens by default; each namespace has a loopback of its own.
pub const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9190);
/// Distance of two questions to the admin server.
const POLL: Duration = Duration::from_millis(10);

/// The program: `$SANMON_BIN`, else the debug build of this workspace.
pub fn binary() -> PathBuf {
    let given = std::env::var_os("SANMON_BIN").map(PathBuf::from);
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/sanmon");
    let path = given.unwrap_or_else(built);
    // Without the way back, for messages; one that does not exist is reported by whoever starts it.
    path.canonicalize().unwrap_or(path)
}

/// The program of the release before: `$SANMON_FORMER_BIN`, which a full run sets, else the one that is tested.
pub fn former() -> PathBuf {
    std::env::var_os("SANMON_FORMER_BIN").map_or_else(binary, PathBuf::from)
}

/// A name for a `--bpf-root` that no other process and no other call of this one uses.
pub fn unique_bpf_root() -> PathBuf {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!(
        "/sys/fs/bpf/sanmon-{}-{number}",
        std::process::id()
    ))
}

/// Runs the program to its end.
///
/// # Errors
/// When it cannot be started.
pub fn run_to_end(namespace: &Namespace, arguments: &[OsString]) -> anyhow::Result<Output> {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = namespace.start(command)?;
    Ok(child.wait_with_output()?)
}

/// How `sanmon run` is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// `--config`.
    pub config: PathBuf,
    /// `--node`.
    pub node: String,
    /// `--bpf-root`.
    pub bpf_root: PathBuf,
    /// `--admin`.
    pub admin: SocketAddr,
    /// Where its output goes.
    pub log: PathBuf,
    /// More arguments.
    pub more: Vec<OsString>,
}

/// A running `sanmon run`. It is killed with this value.
#[derive(Debug)]
pub struct Sanmon {
    pid: Pid,
    exit: mpsc::Receiver<ExitStatus>,
    exited: Option<ExitStatus>,
    admin: SocketAddr,
    log: PathBuf,
}

impl Sanmon {
    /// Starts it.
    ///
    /// # Errors
    /// When the program does not exist.
    pub fn start(namespace: &Namespace, options: &Options) -> anyhow::Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&options.log)?;
        let mut command = Command::new(&options.program);
        command
            .arg("run")
            .arg("--config")
            .arg(&options.config)
            .arg("--node")
            .arg(&options.node)
            .arg("--bpf-root")
            .arg(&options.bpf_root)
            .arg("--admin")
            .arg(options.admin.to_string())
            .args(&options.more)
            // A terminal's Ctrl-C is for whoever started this; what `sanmon` gets is decided there.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut child = namespace.start(command)?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let (sender, exit) = mpsc::channel();
        std::thread::spawn(move || {
            if let Ok(status) = child.wait() {
                let _nobody_waits = sender.send(status);
            }
        });
        Ok(Self {
            pid,
            exit,
            exited: None,
            admin: options.admin,
            log: options.log.clone(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(self.pid, signal).with_context(|| format!("cannot send {signal}"))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it goes on.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.exited {
            return Ok(status);
        }
        let status = self
            .exit
            .recv_timeout(timeout)
            .map_err(|_timeout| anyhow!("sanmon goes on after {timeout:?}: {}", self.log()))?;
        self.exited = Some(status);
        Ok(status)
    }

    /// Waits until `/readyz` says yes, and that the newest configuration is in force everywhere.
    ///
    /// # Errors
    /// When it does not in time, with what it said last, or the process ended.
    pub fn wait_ready(&mut self, namespace: &Namespace, timeout: Duration) -> anyhow::Result<()> {
        self.wait_for(namespace, "/readyz", timeout, |reply| {
            let readiness = serde_json::from_slice::<serde_json::Value>(&reply.body);
            reply.status == 200 && readiness.is_ok_and(|it| it.get("current") == Some(&true.into()))
        })
    }

    /// Waits until an admin page says what it should.
    ///
    /// # Errors
    /// When it does not in time, with what it said last, or the process ended.
    pub fn wait_for(
        &mut self,
        namespace: &Namespace,
        page: &str,
        timeout: Duration,
        said: impl Fn(&Reply) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let reply = self.admin(namespace, page);
            if reply.as_ref().is_ok_and(&said) {
                return Ok(());
            }
            if let Ok(status) = self.exit.recv_timeout(POLL) {
                self.exited = Some(status);
                return Err(anyhow!("sanmon ended ({status}): {}", self.log()));
            }
            if Instant::now() > deadline {
                let last = match reply {
                    Ok(reply) => String::from_utf8_lossy(&reply.body).into_owned(),
                    Err(error) => format!("{error:#}"),
                };
                let log = self.log();
                return Err(anyhow!("{page} after {timeout:?}: {last}\nlog:\n{log}"));
            }
        }
    }

    /// A counter of gates 1 and 2, by its reason.
    ///
    /// # Errors
    /// When there is no such counter.
    pub fn packets(&self, namespace: &Namespace, reason: &str) -> anyhow::Result<u64> {
        let reply = self.admin(namespace, "/metrics")?;
        let page = String::from_utf8_lossy(&reply.body).into_owned();
        let name = format!("sanmon_datapath_packets_total{{reason=\"{reason}\"}} ");
        page.lines()
            .find_map(|line| line.strip_prefix(&name)?.parse().ok())
            .with_context(|| format!("no counter {name}"))
    }

    /// The first IPv4 address that it announces, from its snapshot.
    ///
    /// # Errors
    /// When it announces none.
    pub fn first_vip(&self, namespace: &Namespace) -> anyhow::Result<Ipv4Addr> {
        let reply = self.admin(namespace, "/snapshot")?;
        let page: serde_json::Value = serde_json::from_slice(&reply.body)?;
        let vips = page
            .pointer("/vips")
            .or_else(|| page.pointer("/snapshot/vips"));
        let mut addresses = vips
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|vip| vip.pointer("/address")?.as_str()?.parse().ok());
        addresses
            .next()
            .ok_or_else(|| anyhow!("the snapshot has no VIP"))
    }

    /// Asks the admin server for a page.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn admin(&self, namespace: &Namespace, page: &str) -> anyhow::Result<Reply> {
        let get = Get::new("localhost", page);
        let admin = self.admin;
        namespace.run(move || async move { client::get(admin, &Transport::Plain, &get).await })
    }
}

impl Drop for Sanmon {
    fn drop(&mut self) {
        if self.exited.is_none() && self.exit.try_recv().is_err() {
            // It may have ended by itself just now.
            let _gone = kill(self.pid, Signal::SIGKILL);
            let _ended = self.exit.recv_timeout(Duration::from_secs(5));
        }
    }
}
