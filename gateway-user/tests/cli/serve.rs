//! Requests go where the folder says, also while it changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::agent::Agent;
use crate::backend::Backend;
use crate::conf::{Conf, free_port, gateway, route, service};
use crate::http;

#[test]
fn a_request_reaches_the_backend_and_the_listener_is_programmed() {
    let backend = Backend::start("one");
    let port = free_port();
    let conf = Conf::serving(port, backend.port);
    let agent = Agent::start(&conf);
    let answer = http::get(port, "/").expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "one"));
    assert_eq!(agent.programmed()["status"], "True");
}

#[test]
fn an_edited_file_takes_effect_without_a_failed_request() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let port = free_port();
    let conf = Conf::serving(port, one.port);
    let mut agent = Agent::start(&conf);
    requests_meanwhile(port, || {
        for backend in [&two, &one, &two] {
            let before = agent.generation();
            conf.write("backend.yaml", &service("web", backend.port));
            agent.settle(&before);
        }
    });
    assert_eq!(http::get(port, "/").expect("an answer").body, "two");
}

#[test]
fn a_swapped_config_map_takes_effect_without_a_failed_request() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let port = free_port();
    let conf = Conf::new();
    mount(&conf, "..1", port, one.port);
    for name in ["gateway.yaml", "route.yaml", "backend.yaml"] {
        let target = format!("..data/{name}");
        symlink(target, conf.path().join(name)).expect("a link");
    }
    let mut agent = Agent::start(&conf);
    requests_meanwhile(port, || {
        let before = agent.generation();
        mount(&conf, "..2", port, two.port);
        fs::remove_dir_all(conf.path().join("..1")).expect("removed");
        agent.settle(&before);
    });
    assert_eq!(http::get(port, "/").expect("an answer").body, "two");
}

#[test]
fn a_broken_file_keeps_its_last_good_content_in_force() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let port = free_port();
    let conf = Conf::serving(port, one.port);
    let mut agent = Agent::start(&conf);
    conf.write("backend.yaml", "kind: [\n");
    agent.wait("a note about the file", |readiness| {
        let notes = readiness["notes"].to_string();
        notes.contains("backend.yaml:").then_some(())
    });
    assert_eq!(http::get(port, "/").expect("an answer").body, "one");
    let problems = agent.page("/conditions")["problems"].clone();
    assert_eq!(problems[0]["severity"], "error");

    let before = agent.generation();
    conf.write("backend.yaml", &service("web", two.port));
    agent.settle(&before);
    assert_eq!(http::get(port, "/").expect("an answer").body, "two");
}

#[test]
fn a_route_to_a_missing_service_is_answered_with_500() {
    let port = free_port();
    let conf = Conf::new();
    conf.write("gateway.yaml", &gateway(port));
    conf.write("route.yaml", &route("missing"));
    let _agent = Agent::start(&conf);
    assert_eq!(http::get(port, "/").expect("an answer").status, 500);
}

/// Sends requests one after the other while something happens; none may fail.
fn requests_meanwhile(port: u16, happen: impl FnOnce()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let requests = scope.spawn(|| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) || count == 0 {
                let answer = http::get(port, "/").expect("an answer");
                assert_eq!(answer.status, 200, "request {count}: {answer:?}");
                count += 1;
            }
        });
        happen();
        over.store(true, Ordering::Relaxed);
        requests.join().expect("no failed request");
    });
}

/// Writes a version of a mounted ConfigMap and makes it the one that is shown, as the kubelet does.
fn mount(conf: &Conf, version: &str, port: u16, backend: u16) {
    conf.write(&format!("{version}/gateway.yaml"), &gateway(port));
    conf.write(&format!("{version}/route.yaml"), &route("web"));
    conf.write(&format!("{version}/backend.yaml"), &service("web", backend));
    let next = conf.path().join("..data_tmp");
    symlink(version, &next).expect("a link");
    fs::rename(next, conf.path().join("..data")).expect("swapped");
}
