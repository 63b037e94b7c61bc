//! Two processes of one node where gates 1 and 2 are off: the second waits.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::agent::{Agent, sanmon};
use crate::conf::{Conf, free_port};
use crate::http::PATIENCE;

#[test]
fn a_second_process_waits_for_the_end_of_one_that_cannot_hand_over() {
    let port = free_port();
    let confs = [Conf::serving(port, 9), Conf::serving(port, 9)];
    let meeting = tempfile::tempdir().expect("a directory");
    let mut first = start(&confs[0], meeting.path());
    first.settle(&Value::Null);

    let mut second = start(&confs[1], meeting.path());
    wait_for_log(&second, "nothing is handed over");
    wait_for_log(&first, "a successor has not taken over");
    first.settle(&Value::Null);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.end().code(), Some(0));
    second.settle(&Value::Null);
}

#[test]
fn who_talks_nonsense_is_shown_the_door_and_changes_nothing() {
    let conf = Conf::serving(free_port(), 9);
    let meeting = tempfile::tempdir().expect("a directory");
    let mut agent = start(&conf, meeting.path());
    agent.settle(&Value::Null);
    let socket = meeting.path().join("agent.sock");
    for nonsense in [
        b"\0\0\0\x02{}".as_slice(),
        b"\xff\xff\xff\xff",
        b"\0\0\0\x07\"Taken\"",
    ] {
        let mut stranger = UnixStream::connect(&socket).expect("a connection");
        stranger.write_all(nonsense).expect("written");
        let mut answer = Vec::new();
        // What was not read makes it a reset.
        drop(stranger.read_to_end(&mut answer));
        assert_eq!(answer, b"");
    }
    wait_for_log(&agent, "no message that this release knows");
    wait_for_log(&agent, "a message of 4294967295 bytes");
    wait_for_log(&agent, "it has not said what it understands");
    agent.settle(&Value::Null);
}

fn start(conf: &Conf, meeting: &Path) -> Agent {
    let meeting = meeting.to_str().expect("a plain path");
    Agent::spawn(conf, Path::new(sanmon()), &["--run-dir", meeting], |_| {})
}

fn wait_for_log(agent: &Agent, text: &str) {
    let until = Instant::now() + PATIENCE;
    while !agent.log().contains(text) {
        assert!(Instant::now() < until, "no {text:?} in {}", agent.log());
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}
