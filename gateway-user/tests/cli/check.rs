//! `sanmon check`, and the commands that only print.

use serde_json::Value;

use crate::agent::{run, stderr, stdout};
use crate::conf::{Conf, gateway, route, service};

#[test]
fn a_good_folder_is_a_table_and_success() {
    let conf = Conf::serving(80, 8080);
    let output = check(&conf, &[]);
    assert!(output.status.success(), "{output:?}");
    let text = stdout(&output);
    assert!(text.contains("HTTPRoute"), "{text}");
    assert!(text.contains("ResolvedRefs"), "{text}");
}

#[test]
fn a_file_that_does_not_parse_is_named_with_its_line() {
    let conf = Conf::serving(80, 8080);
    conf.write("broken.yaml", "kind: Gateway\nspec:\n  a: [1, 2\n  b: }\n");
    let output = check(&conf, &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let line = text.lines().find(|it| it.contains("broken.yaml:"));
    assert!(line.is_some_and(|it| it.starts_with("error: ")), "{text}");
    assert!(text.contains("HTTPRoute"), "the other files: {text}");
}

#[test]
fn a_route_to_a_missing_service_is_a_failure_with_its_reason() {
    let conf = Conf::new();
    conf.write("a.yaml", &gateway(80));
    conf.write("b.yaml", &route("missing"));
    let output = check(&conf, &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("BackendNotFound"), "{text}");
}

#[test]
fn an_unknown_kind_is_named_and_no_failure() {
    let conf = Conf::serving(80, 8080);
    conf.write(
        "d.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n",
    );
    let output = check(&conf, &[]);
    assert!(output.status.success(), "{output:?}");
    let text = stdout(&output);
    assert!(
        text.contains("ignored: ") && text.contains("Deployment d"),
        "{text}"
    );
}

#[test]
fn json_and_yaml_say_the_same() {
    let conf = Conf::serving(80, 8080);
    let json = stdout(&check(&conf, &["-o", "json"]));
    let yaml = stdout(&check(&conf, &["-o", "yaml"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let yaml: Value = serde_saphyr::from_str(&yaml).expect("YAML");
    assert_eq!(json, yaml);
    assert_eq!(json["ok"], true);
}

#[test]
fn a_missing_folder_is_an_error() {
    let output = run(&["check", "/does/not/exist"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/does/not/exist"), "{output:?}");
}

#[test]
fn the_last_of_two_equal_objects_is_said() {
    let conf = Conf::serving(80, 8080);
    conf.write("z.yaml", &service("web", 9090));
    let output = check(&conf, &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("z.yaml:1") && text.contains("backend.yaml:1"),
        "{text}"
    );
}

#[test]
fn the_version_is_that_of_the_package() {
    let text = stdout(&run(&["version"]));
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    let json = stdout(&run(&["version", "-o", "json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_shell_has_a_completion_script() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completion", shell]);
        assert!(output.status.success(), "{output:?}");
        assert!(stdout(&output).contains("uninstall"), "{shell}");
    }
}

fn check(conf: &Conf, more: &[&str]) -> std::process::Output {
    let path = conf.path();
    let mut arguments = vec!["check", path.to_str().expect("UTF-8")];
    arguments.extend(more);
    run(&arguments)
}
