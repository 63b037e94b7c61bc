//! The map against `BTreeMap`.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, any};

use super::*;

#[test]
fn a_copy_shares_all_chunks_but_the_one_that_changes() {
    let old: SharedMap<u32, u32> = (0..10_000).map(|key| (key, key)).collect();
    let mut new = old.clone();
    new.insert(5_000, 0);

    let pairs = old.chunks.iter().zip(&new.chunks);
    assert_eq!(pairs.filter(|(a, b)| !Arc::ptr_eq(a, b)).count(), 1);
    assert_eq!(old.get(&5_000), Some(&5_000));
    let differences: Vec<_> = old.differences(&new, PartialEq::eq).collect();
    assert_eq!(differences, [(&5_000, Some(&5_000), Some(&0))]);
}

#[test]
fn chunks_stay_bounded_and_are_not_left_nearly_empty() {
    let mut map: SharedMap<u32, ()> = (0..10_000).map(|key| (key, ())).collect();
    assert!(map.chunks.iter().all(|it| it.entries.len() <= CHUNK_MAX));
    for key in (0..10_000).filter(|key| key % 100 != 0) {
        map.remove(&key);
    }
    assert_eq!(map.len(), 100);
    assert!(
        map.chunks.len() <= 2 * 100 / (CHUNK_MAX / 4),
        "{}",
        map.chunks.len()
    );
}

proptest::proptest! {
    #[test]
    fn it_is_a_sorted_map(edits in edits(), from in any::<u8>()) {
        let (mut map, mut model) = (SharedMap::new(), BTreeMap::new());
        for (key, value) in edits {
            let (before, expected) = match value {
                Some(value) => (map.insert(key, value), model.insert(key, value)),
                None => (map.remove(&key), model.remove(&key)),
            };
            proptest::prop_assert_eq!(before, expected);
            proptest::prop_assert_eq!(map.get(&key), model.get(&key));
        }
        proptest::prop_assert_eq!(map.len(), model.len());
        proptest::prop_assert!(map.iter().eq(&model));
        proptest::prop_assert!(map.range_from(&from).eq(model.range(from..)));
    }

    /// Content decides, not the way to it.
    #[test]
    fn equal_content_is_equal_and_hashes_equally(edits in edits()) {
        let mut map = SharedMap::new();
        for (key, value) in edits {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
            // Asked in between, as generations are.
            hash(&map);
        }
        let again: SharedMap<u8, u8> = map.iter().map(|(key, value)| (*key, *value)).collect();
        proptest::prop_assert_eq!(hash(&map), hash(&again));
        proptest::prop_assert_eq!(map, again);
    }

    #[test]
    fn differences_are_what_has_changed(first in edits(), then in edits()) {
        let mut old = SharedMap::new();
        apply(&mut old, first);
        let mut new = old.clone();
        apply(&mut new, then);
        let found: Vec<_> = old.differences(&new, PartialEq::eq).collect();
        let keys = (0..=u8::MAX).map(|key| (key, old.get(&key), new.get(&key)));
        let expected: Vec<_> = keys.filter(|(_, before, after)| before != after).collect();
        let found: Vec<_> = found.into_iter().map(|(key, before, after)| (*key, before, after)).collect();
        proptest::prop_assert_eq!(&found, &expected);
        proptest::prop_assert_eq!(old == new, expected.is_empty());
    }
}

fn edits() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
    proptest::collection::vec((any::<u8>(), proptest::option::of(0..4_u8)), 0..600)
}

fn apply(map: &mut SharedMap<u8, u8>, edits: Vec<(u8, Option<u8>)>) {
    for (key, value) in edits {
        match value {
            Some(value) => drop(map.insert(key, value)),
            None => drop(map.remove(&key)),
        }
    }
}

fn hash(map: &SharedMap<u8, u8>) -> u64 {
    let mut hasher = DefaultHasher::new();
    map.hash(&mut hasher);
    hasher.finish()
}
