//! The agent's process: what it weighs and what it does at rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::unistd::Pid;

/// Clock ticks of a second, on every architecture that Linux has now.
const TICKS: f64 = 100.0;

/// A running agent.
pub(crate) struct Agent {
    process: PathBuf,
}

impl Agent {
    /// The one with this number.
    pub(crate) fn new(process: Pid) -> Self {
        Self {
            process: PathBuf::from(format!("/proc/{process}")),
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
}

/// A number in a process's `stat`, counted from 0.
fn field(process: &Path, index: usize) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(process.join("stat"))?;
    // The name, the second field, may hold anything.
    let (_, rest) = stat.rsplit_once(") ").context("no stat")?;
    let value = rest.split(' ').nth(index - 2).context("no such field")?;
    Ok(value.parse()?)
}
