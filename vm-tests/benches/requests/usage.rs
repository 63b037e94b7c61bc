//! CPU time of a process tree, and which core this process runs on.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Binds the calling thread (and what it starts later) to a core.
pub(crate) fn pin_to_core(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pinning to core {core}"))
}

/// The CPU time of all threads of a process and of its children, from the scheduler (nanoseconds, not ticks).
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let schedstat = fs::read_to_string(task.join("schedstat"))?;
        let run = schedstat
            .split_ascii_whitespace()
            .next()
            .context("an empty schedstat")?;
        total += Duration::from_nanos(run.parse()?);
        for child in fs::read_to_string(task.join("children"))?.split_ascii_whitespace() {
            total += cpu_time(child.parse()?)?;
        }
    }
    Ok(total)
}
