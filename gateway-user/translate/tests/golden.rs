//! Golden translations: `golden/CASE.in.yaml` in, `golden/CASE.out.yaml` out.
//!
//! Each case is one promise, said in the first line of its input. `SANMON_BLESS=1 cargo test -p gateway-translate
//! --test golden` writes the outputs anew; read the difference before you commit it.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use gateway_translate::{Announce, Inputs, Object, Reason, Settings, translate};
use serde_json::{Map, Value};

#[test]
fn every_case_translates_as_recorded() {
    let mut different = Vec::new();
    for input in cases() {
        let text = fs::read_to_string(&input).expect("the case is readable");
        let found = render(&text);
        let output = PathBuf::from(input.to_string_lossy().replace(".in.yaml", ".out.yaml"));
        if std::env::var_os("SANMON_BLESS").is_some() {
            fs::write(&output, &found).expect("the folder is writable");
        }
        let expected = fs::read_to_string(&output).unwrap_or_default();
        if found != expected {
            different.push(difference(&output, &expected, &found));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_output_has_an_input() {
    let folder = fs::read_dir(folder()).expect("the folder is there");
    let outputs = folder.map(|it| it.expect("readable").path().to_string_lossy().into_owned());
    for output in outputs.filter(|it| it.ends_with(".out.yaml")) {
        assert!(
            Path::new(&output.replace(".out.yaml", ".in.yaml")).exists(),
            "{output}"
        );
    }
}

#[test]
fn the_example_is_accepted_as_a_whole() {
    let snapshot = accepted("../../examples/url-shortener");
    let vips = snapshot.vips.iter().map(|it| it.address.to_string());
    // The example's README names this address.
    assert_eq!(vips.collect::<Vec<_>>(), ["192.168.2.230"]);
    assert_eq!(snapshot.services.len(), 4);
}

#[test]
fn the_sample_of_deploy_is_accepted_as_a_whole() {
    assert_eq!(accepted("../../deploy/gatewayclass.yaml").pools.len(), 1);
}

/// Translates a file or a folder and finds every condition in order.
fn accepted(path: &str) -> gateway_ir::Snapshot {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let files: Vec<PathBuf> = if path.is_file() {
        vec![path]
    } else {
        let files = fs::read_dir(path).expect("the folder is there");
        files.map(|it| it.expect("readable").path()).collect()
    };
    let files = files.into_iter();
    let files = files.filter(|it| it.extension().is_some_and(|it| it == "yaml"));
    let texts: Vec<String> = files
        .map(|it| fs::read_to_string(it).expect("readable"))
        .collect();
    let (inputs, settings) = read(&texts.join("\n---\n"));
    let outcome = translate(&inputs, &settings);
    for status in &outcome.statuses {
        for it in status.all_conditions() {
            let in_order =
                it.reason.as_str() == it.kind.to_string() || it.reason == Reason::NoConflicts;
            assert!(
                in_order && it.message.is_empty(),
                "{}: {it:?}",
                status.object
            );
        }
    }
    outcome.snapshot
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the folder is there");
    let paths = entries.map(|it| it.expect("readable").path());
    let mut cases: Vec<PathBuf> = paths
        .filter(|it| it.to_string_lossy().ends_with(".in.yaml"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", folder().display());
    cases
}

fn render(text: &str) -> String {
    let (inputs, settings) = read(text);
    let outcome = translate(&inputs, &settings);
    let again = translate(&inputs, &settings);
    assert_eq!(
        outcome.snapshot.generation(),
        again.snapshot.generation(),
        "not deterministic"
    );
    let value = serde_json::to_value(&outcome).expect("an outcome serializes");
    serde_saphyr::to_string(&brief(value)).expect("JSON is YAML")
}

/// Reads the objects; a document of kind `Settings` says what the machine is like.
fn read(text: &str) -> (Inputs, Settings) {
    let documents = serde_saphyr::from_multiple::<Value>(text).expect("the case is YAML");
    let mut inputs = Inputs::default();
    let mut settings = Settings::default();
    for document in documents {
        let field = |name: &str| {
            document
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if field("kind") == "Settings" {
            if let Some(own) = document.get("ownAddresses") {
                settings.own_addresses = serde_json::from_value(own.clone()).expect("addresses");
            }
            if let Some(aside) = document.get("aside") {
                settings.aside = serde_json::from_value(aside.clone()).expect("addresses");
            }
            if document.get("announceOff").is_some() {
                settings.announce = Announce::Off(field("announceOff").to_owned());
            }
            continue;
        }
        let object = Object::from_value(field("kind"), field("apiVersion"), document.clone());
        let object = object.expect("the case's objects are well-formed");
        let unknown = object.unknown_fields(&document);
        assert!(unknown.is_empty(), "unknown fields {unknown:?}");
        inputs.insert(object);
    }
    (inputs, settings)
}

/// Leaves out what is empty or at its default and the ranks that other tests hold; writes names and conditions in a line.
fn brief(value: Value) -> Value {
    let defaults = serde_json::to_value(gateway_ir::Snapshot::default()).expect("serializes");
    let settings = gateway_ir::ProxySettings::default();
    let settings = serde_json::to_value(settings).expect("serializes");
    let keep = |name: &str, value: &Value| {
        let is_default = ["announce", "datapath", "proxy"].contains(&name)
            && defaults.get(name) == Some(value)
            || name == "settings" && *value == settings
            || name == "kind" && value == "Http";
        let is_empty = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.values().all(Value::is_null),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        !["precedence", "generation"].contains(&name) && !is_default && !is_empty
    };
    prune(value, &keep)
}

fn prune(value: Value, keep: &dyn Fn(&str, &Value) -> bool) -> Value {
    match value {
        Value::Object(fields) => {
            if let Some(line) = one_line(&fields) {
                return Value::String(line);
            }
            let fields = fields.into_iter().filter(|(name, value)| keep(name, value));
            let fields = fields.map(|(name, value)| (name, prune(value, keep)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|it| prune(it, keep)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Writes what is small in one line: names, references, conditions, and which rule it came from.
fn one_line(fields: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let nested = |name: &str| one_line(fields.get(name)?.as_object()?);
    let number = |name: &str| fields.get(name).map(Value::to_string);
    let suffix =
        |before: &str, it: Option<String>| it.map(|it| format!("{before}{it}")).unwrap_or_default();
    if let (2, Some(namespace), Some(name)) = (fields.len(), text("namespace"), text("name")) {
        return Some(format!("{namespace}/{name}"));
    }
    if let (Some(gateway), Some(section)) = (nested("gateway"), text("section")) {
        return Some(format!("{gateway}/{section}"));
    }
    if let (2, Some(seconds), Some(nanos)) = (fields.len(), number("secs"), number("nanos")) {
        return Some(format!("{seconds} s {nanos} ns"));
    }
    if let (Some(_group), Some(namespace), Some(name)) =
        (text("group"), text("namespace"), text("name"))
    {
        let section = suffix(" section ", text("sectionName").map(str::to_owned));
        let kind = text("kind").filter(|kind| *kind != "Gateway");
        let kind = suffix("", kind.map(|kind| format!("{kind} ")));
        return Some(format!(
            "{kind}{namespace}/{name}{section}{}",
            suffix(" port ", number("port"))
        ));
    }
    if let (Some(kind), Some(object)) = (text("kind"), nested("object")) {
        return Some(format!("{kind} {object}"));
    }
    if let (Some(route), Some(index)) = (nested("route"), number("index")) {
        let name = suffix(" ", text("name").map(str::to_owned));
        return Some(format!("{route} rule {index}{name}"));
    }
    let (kind, status, reason) = (text("type")?, text("status")?, text("reason")?);
    let message = suffix(": ", text("message").map(str::to_owned));
    Some(format!("{kind} {status} {reason}{message}"))
}

fn difference(output: &Path, expected: &str, found: &str) -> String {
    let lines = expected.lines().zip(found.lines());
    let same = lines.take_while(|(a, b)| a == b).count();
    format!(
        "{} line {}:\n  recorded: {}\n  found:    {}",
        output.display(),
        same + 1,
        expected.lines().nth(same).unwrap_or("(end)"),
        found.lines().nth(same).unwrap_or("(end)")
    )
}
