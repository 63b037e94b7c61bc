//! The end of an agent.

use std::thread;

use nix::sys::signal::Signal;

use crate::agent::Agent;
use crate::backend::Backend;
use crate::conf::{Conf, free_port};
use crate::http;

#[test]
fn a_request_in_flight_is_finished_before_the_end() {
    let (backend, arrivals) = Backend::held("one");
    let port = free_port();
    let conf = Conf::serving(port, backend.port);
    let mut agent = Agent::start(&conf);
    let request = thread::spawn(move || http::get(port, "/"));
    let release = arrivals.recv_timeout(http::PATIENCE).expect("a request");

    agent.signal(Signal::SIGTERM);
    agent.wait("the end to be said", |readiness| {
        let missing = readiness["missing"].to_string();
        missing.contains("ending").then_some(())
    });
    release.send(()).expect("the backend waits");

    let answer = request.join().expect("a thread").expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "one"));
    assert_eq!(agent.end().code(), Some(0));
}

#[test]
fn ctrl_c_ends_an_idle_agent() {
    let conf = Conf::serving(free_port(), 9);
    let mut agent = Agent::start(&conf);
    agent.signal(Signal::SIGINT);
    assert_eq!(agent.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (backend, arrivals) = Backend::held("one");
    let port = free_port();
    let conf = Conf::serving(port, backend.port);
    let mut agent = Agent::start(&conf);
    let request = thread::spawn(move || http::get(port, "/"));
    let _release = arrivals.recv_timeout(http::PATIENCE).expect("a request");
    agent.signal(Signal::SIGTERM);
    agent.wait("the end to be said", |readiness| {
        let missing = readiness["missing"].to_string();
        missing.contains("ending").then_some(())
    });
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.end().code(), Some(1));
    assert!(request.join().expect("a thread").is_err());
}
