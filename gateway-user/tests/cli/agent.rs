//! A running `sanmon run`, and short runs of the other commands.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::conf::{Conf, free_port};
use crate::http::{self, PATIENCE};

/// A running agent; it dies with its test.
pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
    pub(crate) admin: u16,
}

impl Agent {
    /// Starts an agent and waits until it is ready and has programmed what is in the folder.
    pub(crate) fn start(conf: &Conf) -> Self {
        let mut agent = Self::spawn(conf, Path::new(sanmon()), &[], |_| {});
        agent.settle(&Value::Null);
        agent
    }

    /// Starts an agent with more arguments, prepared in some way, and does not wait.
    pub(crate) fn spawn(
        conf: &Conf,
        binary: &Path,
        arguments: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let admin = free_port();
        let log = conf.beside().join("log");
        let mut command = Command::new(binary);
        command
            .args(["run", "--node", "n1", "--workers", "2", "--config"])
            .arg(conf.path())
            .args(["--admin", &format!("127.0.0.1:{admin}")])
            .arg("--bpf-root")
            .arg(conf.beside().join("bpf"))
            .args(arguments)
            .stderr(File::create(&log).expect("a log"));
        prepare(&mut command);
        let child = command.spawn().expect("started");
        Self { child, log, admin }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until another generation than `before` runs in every gate; gives its name.
    pub(crate) fn settle(&mut self, before: &Value) -> Value {
        self.wait("a new configuration", |readiness| {
            let generation = &readiness["generation"];
            (readiness["ready"] == true && readiness["current"] == true && generation != before)
                .then(|| generation.clone())
        })
    }

    /// Waits until `/readyz` says something.
    pub(crate) fn wait<T>(&mut self, what: &str, seen: impl Fn(&Value) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("a status") {
                panic!("ended with {status} before {what}:\n{}", self.log());
            }
            if let Ok(answer) = http::get(self.admin, "/readyz") {
                last = serde_json::from_str(&answer.body).expect("JSON");
                if let Some(found) = seen(&last) {
                    return found;
                }
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("no {what}; /readyz said {last}; log:\n{}", self.log());
    }

    /// Waits until a page of the admin server says something.
    pub(crate) fn wait_for_page<T>(
        &mut self,
        path: &str,
        what: &str,
        seen: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(found) = seen(&self.page(path)) {
                return found;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("no {what}; log:\n{}", self.log());
    }

    /// The generation that is wanted now.
    pub(crate) fn generation(&self) -> Value {
        at(&self.page("/readyz"), "/generation")
    }

    /// A page of the admin server.
    pub(crate) fn page(&self, path: &str) -> Value {
        let answer = http::get(self.admin, path).expect("an answer");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// The condition `Programmed` of the listener `web`.
    pub(crate) fn programmed(&self) -> Value {
        let objects = at(&self.page("/conditions"), "/objects");
        let gateway = found(&objects, "kind", "Gateway");
        let conditions = at(&gateway, "/listeners/0/conditions");
        found(&conditions, "type", "Programmed")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a signal");
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("does not end; log:\n{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What is there in a page.
fn at(page: &Value, pointer: &str) -> Value {
    page.pointer(pointer).cloned().unwrap_or_default()
}

/// The first of a list that has a field of that value.
fn found(list: &Value, field: &str, value: &str) -> Value {
    let mut items = list.as_array().expect("a list").iter();
    let item = items.find(|it| it.get(field).is_some_and(|it| it == value));
    item.expect("one of them").clone()
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(sanmon())
        .args(arguments)
        .output()
        .expect("started")
}

/// The binary under test.
pub(crate) fn sanmon() -> &'static str {
    env!("CARGO_BIN_EXE_sanmon")
}

/// What a command printed.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command complained of.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
