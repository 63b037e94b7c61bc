//! The chart: that it renders the manifests, and what its values change.
//!
//! Needs the Helm that `cargo xtask cluster up` builds; says that it is skipped without.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gateway_control::source::document;
use serde_json::Value;

use super::{documents_of, folder};

/// Labels that every object of a chart has and no manifest.
const LABELS_OF_CHARTS: [&str; 3] = [
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];

#[test]
fn the_chart_renders_what_the_manifests_say() {
    let Some(helm) = Helm::find("the_chart_renders_what_the_manifests_say") else {
        return;
    };
    let class = documents_of("gatewayclass.yaml");
    let config = class.iter().find(|it| it["kind"] == "SanmonConfig");
    let config = config.expect("a SanmonConfig")["spec"].to_string();

    let rendered = helm.render(&["--set-json", &format!("config={config}")]);

    let manifests = documents_of("install.yaml").into_iter().chain(class);
    // Helm makes the namespace.
    let manifests = manifests.filter(|it| it["kind"] != "Namespace");
    assert_eq!(by_name(rendered), by_name(manifests));
}

#[test]
fn the_chart_installs_the_same_crds() {
    let here = fs::read_dir(folder().join("crds")).expect("CRDs");
    let mut count = 0;
    for file in here {
        let file = file.expect("an entry").path();
        let name = file.file_name().expect("a name");
        let in_chart = folder().join("helm/sanmon/crds").join(name);
        let same = fs::read(&file).expect("a CRD") == fs::read(in_chart).expect("a CRD");
        assert!(same, "{}", file.display());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn values_become_arguments_rights_and_a_monitor() {
    let Some(helm) = Helm::find("values_become_arguments_rights_and_a_monitor") else {
        return;
    };
    let rendered = helm.render(&[
        "--set=apiServer=https://192.0.2.10:6443,interfaces={eth1},workers=2",
        "--set=metrics.enabled=true,metrics.podMonitor=true",
        "--set=certificates.namespaces={shop,web},gatewayClass.create=false",
    ]);
    let objects = by_name(rendered);
    let agents = &objects["DaemonSet sanmon"]["spec"]["template"]["spec"]["containers"][0]["args"];
    let expected = [
        "agent",
        "--node=$(NODE_NAME)",
        "--run-dir=/run/sanmon",
        "--api-server=https://192.0.2.10:6443",
        "--interface=eth1",
        "--workers=2",
        "--metrics=$(NODE_IP):9192",
    ];
    assert_eq!(agents, &Value::from(expected.to_vec()));
    assert!(objects.contains_key("PodMonitor sanmon"));
    assert!(objects.contains_key("RoleBinding shop/sanmon-certificates"));
    assert!(objects.contains_key("RoleBinding web/sanmon-certificates"));
    assert!(!objects.contains_key("ClusterRoleBinding sanmon-certificates"));
    assert!(!objects.contains_key("GatewayClass sanmon"));
}

#[test]
fn values_that_are_none_are_refused_by_name() {
    let Some(helm) = Helm::find("values_that_are_none_are_refused_by_name") else {
        return;
    };
    for (value, named) in [
        ("workers=-1", "workers"),
        ("logLevel=debug", "logLevel"),
        ("log.format=xml", "format"),
        ("apiServer=192.0.2.10", "apiServer"),
        // Nobody would be asked.
        ("metrics.podMonitor=true", "metrics"),
    ] {
        let output = helm.template(&["--set", value]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value} is taken");
        assert!(said.contains(named), "{value}: {said}");
    }
}

struct Helm(PathBuf);

impl Helm {
    fn find(test: &str) -> Option<Self> {
        let home = std::env::var_os("HOME")?;
        let programs = Path::new(&home).join(".cache/sanmon/programs");
        let entries = fs::read_dir(programs).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|it| it.file_name().to_string_lossy().starts_with("helm-"))
            .map(|it| it.path().join("helm"))
            .filter(|it| it.exists())
            .collect();
        found.sort();
        if found.is_empty() {
            // Past the capture of the harness, so that it can be counted.
            let line = format!("skipped: {test}: no helm in ~/.cache/sanmon/programs");
            let _unheard = writeln!(std::io::stderr(), "{line}");
        }
        found.pop().map(Self)
    }

    fn template(&self, more: &[&str]) -> Output {
        let mut command = Command::new(&self.0);
        command
            .args(["template", "sanmon", "--namespace=sanmon-system"])
            .arg(folder().join("helm/sanmon"))
            .args(more);
        command.output().expect("helm starts")
    }

    fn render(&self, more: &[&str]) -> Vec<Value> {
        let output = self.template(more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let documents = document::parse(&text).expect("YAML");
        documents.into_iter().map(|it| it.value).collect()
    }
}

/// The objects by kind and name, without what only a chart says.
fn by_name(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let objects = objects.into_iter().map(|mut object| {
        let text = |at: &str| object.pointer(at)?.as_str().map(str::to_owned);
        let name = text("/metadata/name").expect("a name");
        let name = match text("/metadata/namespace").filter(|it| it != "sanmon-system") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        };
        let kind = text("/kind").expect("a kind");
        let key = format!("{kind} {name}");
        let labels = object.pointer_mut("/metadata/labels");
        if let Some(labels) = labels.and_then(Value::as_object_mut) {
            labels.retain(|label, _| !LABELS_OF_CHARTS.contains(&label.as_str()));
        }
        (key, object)
    });
    objects.collect()
}
