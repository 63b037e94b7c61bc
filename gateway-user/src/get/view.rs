//! The parts of the admin server's pages that `sanmon get` shows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

/// `/conditions`.
#[derive(Debug, Deserialize)]
pub(super) struct Conditions {
    pub(super) objects: Vec<Value>,
}

/// `/snapshot`.
#[derive(Debug, Deserialize)]
pub(super) struct SnapshotPage {
    pub(super) owners: Vec<Value>,
    pub(super) neighbors: Vec<Value>,
    snapshot: Snapshot,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    services: Vec<Value>,
    http: Vec<HttpPort>,
}

#[derive(Debug, Deserialize)]
struct HttpPort {
    listeners: Vec<Listener>,
}

#[derive(Debug, Deserialize)]
struct Listener {
    routing: Routing,
}

#[derive(Debug, Deserialize)]
enum Routing {
    Http(BTreeMap<String, Program>),
    Stream(BTreeMap<String, Rule>),
}

impl Routing {
    fn backends(&self) -> Vec<&Backend> {
        match self {
            Self::Http(hosts) => {
                let entries = hosts.values().flat_map(|program| &program.entries);
                entries.flat_map(|entry| &entry.rule.backends).collect()
            }
            Self::Stream(hosts) => hosts.values().flat_map(|rule| &rule.backends).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Program {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    rule: Rule,
}

#[derive(Debug, Deserialize)]
struct Rule {
    backends: Vec<Backend>,
}

#[derive(Debug, Deserialize)]
struct Backend {
    target: Value,
}

impl SnapshotPage {
    /// The L4 frontends.
    pub(super) fn services(self) -> Vec<Value> {
        self.snapshot.services
    }

    /// Every endpoint that something leads to: of backends of routes and of L4 frontends.
    pub(super) fn endpoints(self) -> Vec<Value> {
        let mut found = BTreeSet::new();
        for target in self.snapshot.targets() {
            let Some(backend) = target.get("Backend") else {
                continue;
            };
            let name = |field: &str| {
                let value = backend.pointer(field);
                value.and_then(Value::as_str).unwrap_or_default()
            };
            let port = backend.pointer("/name/port").and_then(Value::as_u64);
            let service = format!(
                "{}/{}:{}",
                name("/name/service/namespace"),
                name("/name/service/name"),
                port.unwrap_or_default()
            );
            collect(
                &mut found,
                backend.pointer("/endpoints/endpoints"),
                &service,
            );
        }
        for service in &self.snapshot.services {
            let listener = |field: &str| {
                let value = service.pointer(&format!("/listener/{field}"));
                value.and_then(Value::as_str).unwrap_or_default()
            };
            let name = format!(
                "listener {}/{}/{}",
                listener("gateway/namespace"),
                listener("gateway/name"),
                listener("section")
            );
            let endpoints = service.pointer("/target/Endpoints/endpoints");
            collect(&mut found, endpoints, &name);
        }
        found
            .into_iter()
            .map(|(address, node, backend)| json!({"address": address, "node": node, "backend": backend}))
            .collect()
    }
}

impl Snapshot {
    fn targets(&self) -> impl Iterator<Item = &Value> {
        self.http
            .iter()
            .flat_map(|port| &port.listeners)
            .flat_map(|listener| listener.routing.backends())
            .map(|backend| &backend.target)
    }
}

type Found = BTreeSet<(String, Option<String>, String)>;

fn collect(found: &mut Found, endpoints: Option<&Value>, backend: &str) {
    for endpoint in endpoints.and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| Some(endpoint.get(name)?.as_str()?.to_owned());
        let address = field("address").unwrap_or_default();
        found.insert((address, field("node"), backend.to_owned()));
    }
}
