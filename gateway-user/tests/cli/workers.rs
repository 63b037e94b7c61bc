//! On which cores an agent works: on those that it inherits, and on no others.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::agent::Agent;
use crate::conf::{Conf, free_port};

const THIS_THREAD: Pid = Pid::from_raw(0);

#[test]
fn an_agent_that_has_one_core_leaves_the_others_alone() {
    // The last core: who pinned without a look at the mask would take the first.
    let core = *cores().last().expect("this thread runs somewhere");
    let threads = thread::spawn(move || {
        let mut one = CpuSet::new();
        one.set(core).expect("a core");
        sched_setaffinity(THIS_THREAD, &one).expect("fewer cores are always allowed");
        threads()
    });
    let threads = threads.join().expect("a thread");
    assert_eq!(workers(&threads).count(), 2, "{threads:?}");
    let elsewhere = threads.iter().filter(|it| it.cores != core.to_string());
    assert_eq!(elsewhere.count(), 0, "{threads:?}");
}

#[test]
fn each_worker_has_a_core_to_itself_while_there_are_enough() {
    let threads = threads();
    let taken: BTreeSet<&str> = workers(&threads).map(|it| it.cores.as_str()).collect();
    let first: Vec<String> = cores().iter().take(2).map(ToString::to_string).collect();
    assert_eq!(
        taken,
        first.iter().map(String::as_str).collect(),
        "{threads:?}"
    );
}

#[derive(Debug)]
struct Thread {
    name: String,
    /// As the kernel writes a list of them.
    cores: String,
}

/// The threads of an agent that is started by the calling thread, and inherits its cores.
fn threads() -> Vec<Thread> {
    let conf = Conf::serving(free_port(), 9);
    let mut agent = Agent::start(&conf);
    let folder = format!("/proc/{}/task", agent.pid());
    let tasks = fs::read_dir(folder).expect("a running process");
    let threads = tasks.map(|task| {
        let status = task.expect("a thread").path().join("status");
        let status = fs::read_to_string(status).expect("a running thread");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.expect("a field of every thread").trim().to_owned()
        };
        Thread {
            name: field("Name:"),
            cores: field("Cpus_allowed_list:"),
        }
    });
    let threads = threads.collect();
    agent.signal(Signal::SIGINT);
    assert_eq!(agent.end().code(), Some(0));
    threads
}

fn workers(threads: &[Thread]) -> impl Iterator<Item = &Thread> {
    threads
        .iter()
        .filter(|it| it.name.starts_with("sanmon-proxy-"))
}

/// The cores that the calling thread may use.
fn cores() -> Vec<usize> {
    let mask = sched_getaffinity(THIS_THREAD).expect("every thread has a mask");
    let is_allowed = |core: &usize| mask.is_set(*core).unwrap_or(false);
    (0..CpuSet::count()).filter(is_allowed).collect()
}
