//! Translation is total: whatever is missing, it gives a snapshot that hangs together and says the same to everyone.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use gateway_ir::{Routing, ServiceTarget, Snapshot, Target, WeightedBackend};
use gateway_translate::{Announce, Inputs, Object, Settings, Translator, translate};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::Index;
use serde_json::Value;

/// The objects of every golden case and of the example; those of one name replace each other.
static OBJECTS: LazyLock<Vec<Object>> = LazyLock::new(every_object);

proptest! {
    #[test]
    fn any_part_of_the_objects_translates(keep in proptest::collection::vec(any::<bool>(), 256)) {
        let kept = OBJECTS.iter().zip(keep.iter().cycle()).filter(|(_, keep)| **keep);
        let kept: Vec<Object> = kept.map(|(object, _)| object.clone()).collect();

        let outcome = translate(&inputs(&kept), &Settings::default());
        hangs_together(&outcome.snapshot);

        let backwards: Vec<Object> = kept.into_iter().rev().collect();
        // Objects of one name replace each other, so only the order between names may change.
        if backwards.iter().map(Object::key).collect::<BTreeSet<_>>().len() == backwards.len() {
            let again = translate(&inputs(&backwards), &Settings::default());
            assert_eq!(outcome.snapshot.generation(), again.snapshot.generation());
            assert_eq!(outcome.statuses, again.statuses);
        }
    }
}

proptest! {
    /// Whatever came before, and however much of it at once: grants, namespaces, Services, endpoints, Secrets, routes.
    #[test]
    fn a_memory_changes_nothing_of_the_outcome(
        start in proptest::collection::vec(any::<bool>(), 256),
        states in proptest::collection::vec(edits(), 1..8),
    ) {
        let kept = OBJECTS.iter().zip(start.iter().cycle()).filter(|(_, keep)| **keep);
        let mut inputs = inputs(&kept.map(|(object, _)| object.clone()).collect::<Vec<_>>());
        let mut translator = Translator::default();
        let mut settings = Settings::default();
        translator.translate(&inputs, &settings);
        let mut found = None;
        for (edits, announce) in states {
            for (at, action) in edits {
                let object = at.get(&OBJECTS);
                match action {
                    Action::Put => inputs.insert(object.clone()),
                    Action::Remove => inputs.remove(&object.key()),
                }
            }
            settings.announce = if announce { Announce::On } else { Announce::Off("a test".to_owned()) };
            found = Some(translator.translate(&inputs, &settings));
        }
        let found = found.expect("at least one state");
        let expected = translate(&inputs, &settings);
        prop_assert_eq!(&found.statuses, &expected.statuses);
        prop_assert_eq!(&found.warnings, &expected.warnings);
        prop_assert_eq!(&found.snapshot, &expected.snapshot);
        prop_assert_eq!(found.snapshot.generation(), expected.snapshot.generation());
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Put,
    Remove,
}

/// Objects that come, change and go together, and whether anything is announced from then on.
fn edits() -> impl Strategy<Value = (Vec<(Index, Action)>, bool)> {
    let action = prop_oneof![3 => Just(Action::Put), 2 => Just(Action::Remove)];
    let edits = proptest::collection::vec((any::<Index>(), action), 1..4);
    (edits, proptest::bool::weighted(0.8))
}

/// No address without a VIP, no frontend twice, no endpoint without a weight, nothing that is selected from an empty set.
fn hangs_together(snapshot: &Snapshot) {
    let vips: BTreeSet<_> = snapshot.vips.iter().map(|it| it.address).collect();
    assert_eq!(vips.len(), snapshot.vips.len());
    assert!(
        snapshot
            .vips
            .iter()
            .all(|vip| snapshot.pools.iter().any(|it| it.contains(vip.address)))
    );
    let frontends = snapshot
        .services
        .iter()
        .map(|it| (it.vip, it.port, it.protocol));
    assert_eq!(
        frontends.collect::<BTreeSet<_>>().len(),
        snapshot.services.len()
    );
    for service in &snapshot.services {
        assert!(vips.contains(&service.vip));
        match &service.target {
            ServiceTarget::Proxy => assert!(snapshot.http.iter().any(|port| {
                port.port == service.port && port.addresses.contains(&service.vip)
            })),
            ServiceTarget::Endpoints { endpoints, refused } => {
                assert!(endpoints.iter().all(|it| it.weight > 0));
                assert!(!endpoints.is_empty() || *refused > 0);
            }
        }
    }
    for port in &snapshot.http {
        assert!(!port.listeners.is_empty());
        for backends in port.listeners.iter().flat_map(|it| backends(&it.routing)) {
            let targets = backends.iter().filter_map(|it| match &it.target {
                Target::Backend(backend) => Some(backend),
                Target::Invalid(_) => None,
            });
            assert!(
                targets
                    .flat_map(|it| &it.endpoints.endpoints)
                    .all(|it| it.address.port() > 0)
            );
        }
    }
}

/// The backends of every rule.
fn backends(routing: &Routing) -> Vec<&[WeightedBackend]> {
    match routing {
        Routing::Http(hosts) => {
            let entries = hosts.values().flat_map(|it| it.entries());
            entries.map(|it| it.rule.backends.as_slice()).collect()
        }
        Routing::Stream(hosts) => hosts.values().map(|it| it.backends.as_slice()).collect(),
    }
}

fn every_object() -> Vec<Object> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in [
        root.join("tests/golden"),
        root.join("../../examples/url-shortener"),
    ] {
        let files = fs::read_dir(folder).expect("the folder is there");
        let mut files: Vec<_> = files.map(|it| it.expect("readable").path()).collect();
        files.sort();
        let inputs = files.into_iter().filter(|it| {
            let name = it.to_string_lossy();
            name.ends_with(".yaml") && !name.ends_with(".out.yaml")
        });
        texts.extend(inputs.map(|it| fs::read_to_string(it).expect("readable")));
    }
    let documents = texts
        .iter()
        .flat_map(|it| serde_saphyr::from_multiple::<Value>(it).expect("the files are YAML"));
    documents
        .filter_map(|document| {
            let field = |name: &str| document.get(name)?.as_str().map(str::to_owned);
            Object::from_value(&field("kind")?, &field("apiVersion")?, document.clone()).ok()
        })
        .collect()
}

fn inputs(objects: &[Object]) -> Inputs {
    let mut inputs = Inputs::default();
    objects
        .iter()
        .cloned()
        .for_each(|object| inputs.insert(object));
    inputs
}
