//! Running other programs: visibly, quietly, and with an error that names the command.

use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// The cargo that started this xtask, in the root of the checkout.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(workspace.root());
    command
}

/// Runs a command with this terminal and fails if it fails.
pub(crate) fn visibly(command: &mut Command) -> anyhow::Result<()> {
    let line = shown(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a command in silence and returns its standard output; what it said is part of the error if it fails.
pub(crate) fn quietly(command: &mut Command) -> anyhow::Result<String> {
    let line = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({})\n{stdout}{stderr}", output.status);
    }
    Ok(stdout)
}

/// Standard output of a command that may be missing or refuse: `None` then.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    quietly(command).ok()
}

/// A duration as people read it: `4.2 s`, `3 min 05 s`.
pub(crate) fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        return format!("{:.1} s", duration.as_secs_f64());
    }
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_carries_what_it_said() {
        let error = quietly(Command::new("sh").args(["-c", "echo why >&2; exit 3"]))
            .expect_err("exit status 3 is a failure");

        let text = error.to_string();
        assert!(text.contains("sh -c"), "{text}");
        assert!(text.contains("why"), "{text}");
    }

    #[test]
    fn a_missing_program_is_no_answer() {
        assert_eq!(answer(&mut Command::new("/nonexistent/program")), None);
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(elapsed(Duration::from_millis(4_240)), "4.2 s");
        assert_eq!(elapsed(Duration::from_secs(185)), "3 min 05 s");
    }
}
