//! What is missing or taken is said, and the rest goes on.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::Uid;
use serde_json::Value;

use crate::agent::{Agent, run, sanmon, stderr};
use crate::backend::Backend;
use crate::conf::{Conf, POOL, free_port};
use crate::http;

/// A user without rights, on every Linux.
const NOBODY: u32 = 65534;

#[test]
fn a_port_that_is_in_use_is_said_and_taken_when_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let backend = Backend::start("one");
    let conf = Conf::serving(port, backend.port);
    let mut agent = Agent::spawn(&conf, Path::new(sanmon()), &[], |_| {});
    agent.wait("a note about the port", |readiness| {
        let notes = readiness["notes"].to_string();
        notes.contains(&port.to_string()).then_some(())
    });
    let programmed = agent.programmed();
    assert_eq!(programmed["status"], "False");
    let message = programmed["message"].as_str().expect("a message");
    assert!(message.contains(&port.to_string()), "{message}");

    drop(taken);
    agent.wait("the port", |_| http::get(port, "/").is_ok().then_some(()));
    assert_eq!(http::get(port, "/").expect("an answer").body, "one");
}

#[test]
fn an_admin_address_that_is_in_use_ends_the_second_agent() {
    let conf = Conf::new();
    let agent = Agent::start(&conf);
    let admin = format!("127.0.0.1:{}", agent.admin);
    let path = conf.path();
    let folder = path.to_str().expect("UTF-8");
    let output = run(&["run", "--config", folder, "--admin", &admin]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&admin) && text.contains("--admin"), "{text}");
}

#[test]
fn a_folder_that_is_not_there_ends_the_agent() {
    let output = run(&["run", "--config", "/does/not/exist"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/does/not/exist"), "{output:?}");
}

#[test]
fn without_rights_gate_3_goes_on_and_the_others_say_why_they_are_off() {
    let backend = Backend::start("one");
    let port = free_port();
    let conf = Conf::serving(port, backend.port);
    conf.write("pool.yaml", POOL);
    let binary = conf.beside().join("sanmon");
    fs::copy(sanmon(), &binary).expect("copied");
    let mut agent = Agent::spawn(&conf, &binary, &[], give_up_rights);
    agent.settle(&Value::Null);
    assert_eq!(http::get(port, "/").expect("an answer").status, 200);
    let gates = agent.page("/readyz")["gates"].clone();
    assert_ne!(gates["announce"]["off"], Value::Null);
    assert_ne!(gates["steer"]["off"], Value::Null);
    assert_eq!(gates["proxy"]["off"], Value::Null);
    let said = agent.log().matches("gate 2 (steer) are off").count();
    assert_eq!(said, 1, "{}", agent.log());

    let mut check = Command::new(&binary);
    check.arg("check").arg(conf.path());
    give_up_rights(&mut check);
    let output = check.output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("gates 1 and 2 would be off here"), "{text}");
}

#[test]
fn a_log_level_that_is_none_ends_the_agent() {
    let conf = Conf::new();
    let path = conf.path();
    let folder = path.to_str().expect("UTF-8");
    let output = run(&["run", "--config", folder, "--log-level", "a=b=c"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--log-level"), "{output:?}");
}

fn give_up_rights(command: &mut Command) {
    // Who is not root has none to give up, and may not change the user.
    if Uid::effective().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

#[test]
fn the_log_is_json_if_that_is_asked_for() {
    let conf = Conf::new();
    let arguments = ["--log-format", "json"];
    let mut agent = Agent::spawn(&conf, Path::new(sanmon()), &arguments, |_| {});
    agent.settle(&Value::Null);
    let log = agent.log();
    let first: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["level"], "INFO");
}
