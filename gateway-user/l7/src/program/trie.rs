//! A hash map whose copies share what they have in common: a copy costs a pointer, a change copies the few nodes on the way
//! to it. So a program of thousands of routes is carried to the next one at the cost of those that differ.

use std::borrow::Borrow;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::Arc;

/// Bits of the hash that a level takes.
const BITS: u32 = 5;
/// Entries that are compared one after the other: that many texts of one length are compared as fast as one is hashed.
const LEAF_MAX: usize = 8;

/// A map by hash, with keys that nobody can choose the hashes of.
#[derive(Clone, Debug)]
pub(crate) struct Trie<K, V, S = RandomState> {
    /// None: empty.
    root: Option<Arc<Root<K, V, S>>>,
}

/// For keys that are hashes already, and random ones.
pub(crate) type Hashed = BuildHasherDefault<Own>;

/// Takes a key for its hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own(u64);

impl Hasher for Own {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mix = |sum: u64, byte: &u8| sum.rotate_left(8) ^ u64::from(*byte);
        self.0 = bytes.iter().fold(self.0, mix);
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[derive(Clone, Debug)]
struct Root<K, V, S> {
    state: S,
    node: Node<K, V>,
}

#[derive(Clone, Debug)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Branch {
        /// A bit for each child, by the part of the hash that the level takes.
        present: u32,
        children: Vec<Arc<Self>>,
    },
}

impl<K, V, S> Default for Trie<K, V, S> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<K, V, S> Trie<K, V, S> {
    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_none()
    }
}

#[cfg(test)]
impl<K: Clone, V: Clone, S> Trie<K, V, S> {
    /// Everything, in no order.
    pub(crate) fn entries(&self) -> Vec<(K, V)> {
        let mut entries = Vec::new();
        let mut left: Vec<&Node<K, V>> = self.root.iter().map(|root| &root.node).collect();
        while let Some(node) = left.pop() {
            match node {
                Node::Leaf(leaf) => entries.extend(leaf.iter().cloned()),
                Node::Branch { children, .. } => left.extend(children.iter().map(|it| &**it)),
            }
        }
        entries
    }
}

impl<K, V, S: BuildHasher> Trie<K, V, S> {
    /// The value of a key.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let root = self.root.as_deref()?;
        let (mut node, mut rest) = match &root.node {
            Node::Leaf(entries) => return find(entries, key),
            branch @ Node::Branch { .. } => (branch, root.state.hash_one(key)),
        };
        loop {
            match node {
                Node::Leaf(entries) => return find(entries, key),
                Node::Branch { present, children } => {
                    node = children.get(place(*present, bit(rest))?)?;
                    rest >>= BITS;
                }
            }
        }
    }
}

fn find<'e, K: Borrow<Q>, V, Q: Eq + ?Sized>(entries: &'e [(K, V)], key: &Q) -> Option<&'e V> {
    let (_, value) = entries.iter().find(|(known, _)| known.borrow() == key)?;
    Some(value)
}

/// What the lowest level of a hash says.
fn bit(hash: u64) -> u32 {
    1 << (hash & ((1 << BITS) - 1))
}

/// Where the child of a bit is.
fn place(present: u32, bit: u32) -> Option<usize> {
    (present & bit != 0).then(|| before(present, bit))
}

fn before(present: u32, bit: u32) -> usize {
    // At most 31.
    (present & (bit - 1)).count_ones() as usize
}

impl<K: Clone + Hash + Eq, V: Clone, S: BuildHasher + Clone + Default> Trie<K, V, S> {
    /// The value of a key to change, made if it is not there.
    pub(crate) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let root = self.root.get_or_insert_with(|| {
            Arc::new(Root {
                state: S::default(),
                node: Node::Leaf(Vec::new()),
            })
        });
        let Root { state, node } = Arc::make_mut(root);
        let hash = state.hash_one(&key);
        node.entry(key, (hash, 0), make, &|key| state.hash_one(key))
    }

    /// Takes a key out.
    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if self.get(key).is_none() {
            return;
        }
        let is_empty = self.root.as_mut().is_some_and(|root| {
            let Root { state, node } = Arc::make_mut(root);
            node.remove(key, state.hash_one(key))
        });
        if is_empty {
            self.root = None;
        }
    }
}

impl<K: Clone + Eq, V: Clone> Node<K, V> {
    /// A hash comes with the bits of it that the levels above have taken.
    fn entry(
        &mut self,
        key: K,
        (hash, taken): (u64, u32),
        make: impl FnOnce() -> V,
        hash_of: &impl Fn(&K) -> u64,
    ) -> &mut V {
        if let Self::Leaf(entries) = self
            && entries.len() >= LEAF_MAX
            && taken + BITS <= u64::BITS
            && !entries.iter().any(|(known, _)| *known == key)
        {
            *self = Self::split(std::mem::take(entries), taken, hash_of);
        }
        match self {
            Self::Leaf(entries) => {
                let at = entries.iter().position(|(known, _)| *known == key);
                if at.is_none() {
                    entries.reserve_exact(1);
                    entries.push((key, make()));
                }
                let entry = match at {
                    Some(at) => entries.get_mut(at),
                    None => entries.last_mut(),
                };
                &mut entry.expect("it was found or pushed above").1
            }
            Self::Branch { present, children } => {
                let child = Self::child(present, children, hash >> taken);
                child.entry(key, (hash, taken + BITS), make, hash_of)
            }
        }
    }

    /// The child of a hash, made if it is not there.
    fn child<'n>(present: &mut u32, children: &'n mut Vec<Arc<Self>>, rest: u64) -> &'n mut Self {
        let bit = bit(rest);
        let at = before(*present, bit);
        if *present & bit == 0 {
            *present |= bit;
            children.reserve_exact(1);
            children.insert(at, Arc::new(Self::Leaf(Vec::new())));
        }
        let child = children.get_mut(at);
        Arc::make_mut(child.expect("each bit that is set has its child"))
    }

    /// A branch with these entries.
    fn split(entries: Vec<(K, V)>, taken: u32, hash_of: &impl Fn(&K) -> u64) -> Self {
        let (mut present, mut children) = (0, Vec::new());
        for (key, value) in entries {
            let hash = hash_of(&key);
            let child = Self::child(&mut present, &mut children, hash >> taken);
            if let Self::Leaf(entries) = child {
                entries.reserve_exact(1);
                entries.push((key, value));
            }
        }
        Self::Branch { present, children }
    }

    /// Takes a key out that is there; tells whether nothing is left.
    fn remove<Q: Eq + ?Sized>(&mut self, key: &Q, rest: u64) -> bool
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Leaf(entries) => {
                entries.retain(|(known, _)| known.borrow() != key);
                entries.is_empty()
            }
            Self::Branch { present, children } => {
                let bit = bit(rest);
                let Some(at) = place(*present, bit) else {
                    return children.is_empty();
                };
                let child = children.get_mut(at).map(Arc::make_mut);
                if child.is_some_and(|child| child.remove(key, rest >> BITS)) {
                    *present &= !bit;
                    children.remove(at);
                }
                children.is_empty()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::DefaultHasher;

    use proptest::prelude::any;

    use super::*;

    proptest::proptest! {
        /// However keys come and go, a map says what a hash map says, and so does each copy of it afterwards.
        #[test]
        fn a_map_and_its_copies_say_what_hash_maps_say(
            changes in proptest::collection::vec((0_u16..600, any::<Option<u8>>()), 0..2_000),
        ) {
            check::<RandomState>(&changes)?;
        }

        #[test]
        fn keys_of_one_hash_are_told_apart(
            changes in proptest::collection::vec((0_u16..20, any::<Option<u8>>()), 0..60),
        ) {
            check::<BuildHasherDefault<Same>>(&changes)?;
        }
    }

    #[test]
    fn a_change_copies_as_much_among_10_000_as_among_100() {
        let copied = |count: u32| {
            let mut map = Trie::<u32, u32, BuildHasherDefault<DefaultHasher>>::default();
            for key in 0..count {
                *map.entry(key, || 0) = key;
            }
            let before = map.clone();
            *map.entry(7, || 0) = 8;
            assert_eq!((before.get(&7), map.get(&7)), (Some(&7), Some(&8)));
            let root = |map: &Trie<_, _, _>| Arc::clone(map.root.as_ref().expect("a root"));
            unshared(&root(&before).node, &root(&map).node)
        };
        assert!(copied(100) <= 4 * BRANCH_MAX, "{}", copied(100));
        assert!(copied(10_000) <= 4 * BRANCH_MAX, "{}", copied(10_000));
    }

    const BRANCH_MAX: usize = 1 << BITS;

    /// The entries and pointers that two nodes have each for itself.
    fn unshared<K: PartialEq, V>(one: &Node<K, V>, other: &Node<K, V>) -> usize {
        match (one, other) {
            (
                Node::Branch { children, .. },
                Node::Branch {
                    children: others, ..
                },
            ) => {
                let pairs = children.iter().zip(others);
                let differ = pairs.filter(|(a, b)| !Arc::ptr_eq(a, b));
                children.len() + differ.map(|(a, b)| unshared(a, b)).sum::<usize>()
            }
            (Node::Leaf(entries), _) | (_, Node::Leaf(entries)) => entries.len(),
        }
    }

    fn check<S: BuildHasher + Clone + Default>(
        changes: &[(u16, Option<u8>)],
    ) -> Result<(), proptest::test_runner::TestCaseError> {
        let mut map = Trie::<u16, u8, S>::default();
        let mut model = HashMap::new();
        let mut copies = Vec::new();
        for (index, (key, value)) in changes.iter().enumerate() {
            if index % 500 == 0 {
                copies.push((map.clone(), model.clone()));
            }
            match value {
                Some(value) => {
                    *map.entry(*key, || 0) = *value;
                    model.insert(*key, *value);
                }
                None => {
                    map.remove(key);
                    model.remove(key);
                }
            }
        }
        copies.push((map, model));
        for (map, model) in copies {
            proptest::prop_assert_eq!(map.is_empty(), model.is_empty());
            for key in 0..600 {
                proptest::prop_assert_eq!(map.get(&key), model.get(&key));
            }
        }
        Ok(())
    }

    /// A hash that says nothing.
    #[derive(Default)]
    struct Same;

    impl Hasher for Same {
        fn finish(&self) -> u64 {
            0
        }

        fn write(&mut self, _bytes: &[u8]) {}
    }
}
