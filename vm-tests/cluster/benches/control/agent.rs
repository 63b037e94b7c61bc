//! The agent's process: what it weighs, what it does at rest, how soon it is ready.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::PATIENCE;
use crate::bed::Bed;
use crate::question::Connection;

/// Clock ticks of a second, on every architecture that Linux has now.
const TICKS: f64 = 100.0;
/// Where the agent says whether it is ready, on its node.
const ADMIN: &str = "127.0.0.1:9190";
/// Distance of two looks.
const LOOK: Duration = Duration::from_millis(1);

/// A running agent.
pub(crate) struct Agent {
    pid: Pid,
    process: PathBuf,
}

impl Agent {
    /// The one of the only node.
    pub(crate) fn of(cluster: &Bed) -> anyhow::Result<Self> {
        Ok(Self::new(cluster.program("sanmon")?))
    }

    fn new(pid: Pid) -> Self {
        Self {
            pid,
            process: PathBuf::from(format!("/proc/{pid}")),
        }
    }

    /// Its memory, shared pages by share, and how much of it is no file's.
    pub(crate) fn memory(&self) -> anyhow::Result<String> {
        let text = fs::read_to_string(self.process.join("smaps_rollup"))?;
        let mebibytes = |name: &str| {
            let line = text.lines().find_map(|it| it.strip_prefix(name));
            let kib = line.and_then(|it| it.trim().strip_suffix(" kB"));
            let kib: f64 = kib.with_context(|| format!("no {name}"))?.trim().parse()?;
            Ok::<_, anyhow::Error>(kib / 1_024.0)
        };
        let (all, own) = (mebibytes("Pss:")?, mebibytes("Pss_Anon:")?);
        Ok(format!("{all:.1} MiB (PSS), {own:.1} of it anonymous"))
    }

    /// How much of a core it takes.
    pub(crate) fn cores(&self, during: Duration) -> anyhow::Result<f64> {
        let ticks =
            || Ok::<_, anyhow::Error>(field(&self.process, 13)? + field(&self.process, 14)?);
        let before = ticks()?;
        std::thread::sleep(during);
        Ok((ticks()? - before) as f64 / TICKS / during.as_secs_f64())
    }

    /// Kills the agent, so that nobody hands over to the next one, and gives that with the time from the start of its
    /// process until it is ready.
    pub(crate) fn replace(self, cluster: &Bed) -> anyhow::Result<(Self, Duration)> {
        kill(self.pid, Signal::SIGKILL)?;
        let start = Instant::now();
        let next = loop {
            let found = cluster.program("sanmon").map(Self::new);
            if let Ok(next) = found
                && next.process != self.process
            {
                break next;
            }
            ensure!(start.elapsed() < PATIENCE, "no agent comes back");
            std::thread::sleep(LOOK);
        };
        let network = File::open(next.process.join("ns/net"))?;
        // The agent's network is not this thread's.
        let ready = std::thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET)?;
            wait_until_ready(ADMIN.parse()?)
        });
        let ready = ready
            .join()
            .map_err(|_panic| anyhow!("the look panicked"))??;
        let started = field(&next.process, 21)? as f64 / TICKS;
        let time = ready.saturating_sub(Duration::from_secs_f64(started));
        Ok((next, time))
    }
}

/// Waits until an agent says that it is ready, and gives the time since the machine's start.
fn wait_until_ready(admin: SocketAddr) -> anyhow::Result<Duration> {
    let start = Instant::now();
    loop {
        let said = Connection::open(admin).and_then(|mut it| it.ask("localhost", "/readyz"));
        if said.is_ok_and(|it| it.status == 200) {
            return Ok(Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?));
        }
        ensure!(start.elapsed() < PATIENCE, "the agent is not ready");
        std::thread::sleep(LOOK);
    }
}

/// A number in a process's `stat`, counted from 0.
fn field(process: &Path, index: usize) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(process.join("stat"))?;
    // The name, the second field, may hold anything.
    let (_, rest) = stat.rsplit_once(") ").context("no stat")?;
    let value = rest.split(' ').nth(index - 2).context("no such field")?;
    Ok(value.parse()?)
}
