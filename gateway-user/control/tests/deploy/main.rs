//! The manifests are objects that the API server knows, and give exactly the rights that the agent needs.

mod chart;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gateway_control::source::document;
use gateway_control::status::merge;
use gateway_translate::Kind;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::core::{ApiResource, GroupVersionKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

#[test]
fn every_document_is_an_object_of_its_kind_without_a_misspelled_field() {
    for document in documents() {
        match document["kind"].as_str().expect("a kind") {
            "Namespace" => same::<Namespace>(&document),
            "ServiceAccount" => same::<ServiceAccount>(&document),
            "ClusterRole" => same::<ClusterRole>(&document),
            "ClusterRoleBinding" => same::<ClusterRoleBinding>(&document),
            "Role" => same::<Role>(&document),
            "RoleBinding" => same::<RoleBinding>(&document),
            "DaemonSet" => same::<DaemonSet>(&document),
            other => panic!("a {other} that no test reads"),
        }
    }
}

#[test]
fn the_roles_give_what_the_agent_asks_for_and_nothing_else() {
    let given: BTreeSet<_> = kind::<ClusterRole>("ClusterRole")
        .into_iter()
        .flat_map(|role| role.rules.unwrap_or_default())
        .flat_map(|rule| rights(&rule))
        .collect();
    let crds = ["list", "watch"]
        .map(|verb| right("apiextensions.k8s.io", "customresourcedefinitions", verb));
    // One Service stands for each Gateway.
    let services = ["create", "patch", "delete"].map(|verb| right("", "services", verb));
    let events = ["create", "get", "patch"].map(|verb| right("events.k8s.io", "events", verb));
    let asked = Kind::ALL.into_iter().flat_map(needed);
    let asked: BTreeSet<_> = asked.chain(crds).chain(services).chain(events).collect();
    assert_eq!(given, asked);
}

#[test]
fn every_binding_leads_from_the_account_to_a_role_that_is_there() {
    let roles = kind::<Role>("Role");
    let cluster_roles = kind::<ClusterRole>("ClusterRole");
    let names = roles.into_iter().map(|it| ("Role", it.metadata.name));
    let names = names.chain(
        cluster_roles
            .into_iter()
            .map(|it| ("ClusterRole", it.metadata.name)),
    );
    let roles: BTreeSet<_> = names.collect();
    let bindings = kind::<RoleBinding>("RoleBinding");
    let bindings = bindings.into_iter().map(|it| (it.role_ref, it.subjects));
    let cluster = kind::<ClusterRoleBinding>("ClusterRoleBinding");
    let cluster = cluster.into_iter().map(|it| (it.role_ref, it.subjects));
    let mut bound = BTreeSet::new();
    for (role, subjects) in bindings.chain(cluster) {
        let RoleRef { kind, name, .. } = role;
        let kind = if kind == "Role" {
            "Role"
        } else {
            "ClusterRole"
        };
        bound.insert((kind, Some(name)));
        let subjects: Vec<Subject> = subjects.expect("a subject");
        assert_eq!((subjects.len(), subjects[0].name.as_str()), (1, "sanmon"));
    }
    assert_eq!(bound, roles);
}

/// The rights that a kind takes: it is read, and the leader writes its status.
fn needed(kind: Kind) -> Vec<(String, String, String)> {
    let version = *kind.api_versions().first().expect("a version");
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.as_str()));
    let plural = resource.plural.as_str();
    let mut rights = vec![right(group, plural, "list"), right(group, plural, "watch")];
    if merge::has_status(kind) {
        rights.push(right(group, plural, "get"));
        rights.push(right(group, &format!("{plural}/status"), "patch"));
    }
    rights
}

fn rights(rule: &PolicyRule) -> Vec<(String, String, String)> {
    let groups = rule.api_groups.iter().flatten();
    groups
        .flat_map(|group| {
            let resources = rule.resources.iter().flatten();
            resources.flat_map(move |resource| {
                rule.verbs
                    .iter()
                    .map(move |verb| right(group, resource, verb))
            })
        })
        .collect()
}

fn right(group: &str, resource: &str, verb: &str) -> (String, String, String) {
    (group.to_owned(), resource.to_owned(), verb.to_owned())
}

/// Reads an object and writes it again: what is lost is no field of it.
fn same<T: DeserializeOwned + serde::Serialize>(document: &Value) {
    let object: T = serde_json::from_value(document.clone()).expect("an object");
    let written = serde_json::to_value(object).expect("JSON");
    assert_eq!(&written, document);
}

fn kind<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let documents = documents().into_iter().filter(|it| it["kind"] == name);
    documents
        .map(|it| serde_json::from_value(it).expect("an object"))
        .collect()
}

fn documents() -> Vec<Value> {
    documents_of("install.yaml")
}

/// The objects of a file of `deploy/`.
fn documents_of(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join(name)).expect("the manifest");
    let documents = document::parse(&text).expect("YAML");
    documents.into_iter().map(|it| it.value).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}
