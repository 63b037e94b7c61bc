//! A program of the control plane: started in a namespace, with a log, and ended with this value.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gateway_vm_tests::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a program may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// Distance of two looks at a program that ends.
const POLL: Duration = Duration::from_millis(20);
/// How much of a log an error carries.
const LOG_LINES: usize = 20;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its output goes to `NAME.log` in a folder.
    pub(crate) fn start(
        namespace: &Namespace,
        mut command: Command,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let program = PathBuf::from(command.get_program());
        let name = program
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let log = logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = namespace.start(command)?;
        Ok(Self { name, child, log })
    }

    /// Fails if the program has ended, with the end of its log.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        bail!("{} ended ({status}):\n{}", self.name, self.last_words())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(LOG_LINES);
        lines.get(first..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Ok(number) = i32::try_from(self.child.id()) else {
            return;
        };
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // It may have ended by itself just now.
        let _gone = kill(Pid::from_raw(number), Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _gone = self.child.kill();
                let _ended = self.child.wait();
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}
