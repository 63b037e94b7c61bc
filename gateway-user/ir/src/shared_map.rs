//! A sorted map whose copies share what they have in common.
//!
//! Entries lie in chunks behind `Arc`. A copy costs a pointer for each chunk; a change copies one chunk; what differs
//! between two maps is found without a look into the chunks that both have; and the hash of a chunk is computed once.
//! So a configuration of thousands of routes is copied, changed, compared and hashed at the cost of what changed.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter::Peekable;
use std::slice;
use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};

/// Entries of a chunk: a change copies one chunk, a copy of the map costs a pointer for each.
const CHUNK_MAX: usize = 64;

/// A sorted map whose copies share what they have in common.
pub struct SharedMap<K, V> {
    /// Sorted, none of them empty.
    chunks: Vec<Arc<Chunk<K, V>>>,
}

#[derive(Debug)]
struct Chunk<K, V> {
    /// Sorted by key.
    entries: Vec<(K, V)>,
    /// The sum of the hashes of the entries, when it was asked for.
    digest: OnceLock<u64>,
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// Sets the value of a key, and gives the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let at = self.chunk_of(&key);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(Arc::new(Chunk::new(vec![(key, value)])));
            return None;
        };
        let entries = Chunk::change(chunk);
        let before = match entries.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(found) => {
                let slot = entries.get_mut(found)?;
                return Some(std::mem::replace(&mut slot.1, value));
            }
            Err(place) => {
                entries.insert(place, (key, value));
                None
            }
        };
        if entries.len() > CHUNK_MAX {
            let upper = entries.split_off(CHUNK_MAX / 2);
            self.chunks.insert(at + 1, Arc::new(Chunk::new(upper)));
        }
        before
    }

    /// Takes a key out, and gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key);
        let chunk = self.chunks.get_mut(at)?;
        let place = chunk.find(key).ok()?;
        let entries = Chunk::change(chunk);
        let (_, value) = entries.remove(place);
        let left = entries.len();
        if left == 0 {
            self.chunks.remove(at);
        } else if left < CHUNK_MAX / 4 {
            self.merge(at);
            self.merge(at.saturating_sub(1));
        }
        Some(value)
    }

    /// Puts a chunk together with the one behind it, if both are small.
    fn merge(&mut self, at: usize) {
        let (Some(small), Some(next)) = (self.chunks.get(at), self.chunks.get(at + 1)) else {
            return;
        };
        if small.entries.len() + next.entries.len() <= CHUNK_MAX / 2 {
            let both = small.entries.iter().chain(&next.entries).cloned().collect();
            self.chunks.remove(at + 1);
            if let Some(chunk) = self.chunks.get_mut(at) {
                *chunk = Arc::new(Chunk::new(both));
            }
        }
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let place = chunk.find(key).ok()?;
        chunk.entries.get(place).map(|(_, value)| value)
    }

    /// Whether a key is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The chunk where a key is or belongs: the last one that does not start behind it.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let not_behind = |chunk: &Arc<Chunk<K, V>>| match chunk.entries.first() {
            Some((first, _)) => first.borrow() <= key,
            None => true,
        };
        self.chunks.partition_point(not_behind).saturating_sub(1)
    }

    /// The entries from a key on.
    pub fn range_from<'m, Q: Ord + ?Sized>(
        &'m self,
        key: &Q,
    ) -> impl Iterator<Item = (&'m K, &'m V)> + use<'m, K, V, Q>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key);
        let place = self.chunks.get(at).map_or(0, |chunk| {
            let (Ok(place) | Err(place)) = chunk.find(key);
            place
        });
        let chunks = self.chunks.iter().skip(at);
        let entries = chunks.flat_map(|chunk| &chunk.entries).skip(place);
        entries.map(|(key, value)| (key, value))
    }
}

impl<K, V> SharedMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries.len()).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter {
            entries: [].iter(),
            chunks: self.chunks.iter(),
        }
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values, sorted by their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

/// A key that two maps do not agree on, with the value in the old and in the new one.
pub type Difference<'m, K, V> = (&'m K, Option<&'m V>, Option<&'m V>);

impl<K: Ord, V> SharedMap<K, V> {
    /// What is different in a newer map, sorted by key; `same` compares the values of a key.
    pub fn differences<'m>(
        &'m self,
        newer: &'m Self,
        same: impl Fn(&V, &V) -> bool,
    ) -> impl Iterator<Item = Difference<'m, K, V>> {
        let (mut old, mut new) = (Cursor::new(self), Cursor::new(newer));
        std::iter::from_fn(move || {
            loop {
                old.skip_common(&mut new);
                let order = match (old.peek(), new.peek()) {
                    (None, None) => return None,
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (Some((a, _)), Some((b, _))) => a.cmp(b),
                };
                let before = order.is_le().then(|| old.next()).flatten();
                let after = order.is_ge().then(|| new.next()).flatten();
                let (key, _) = before.or(after)?;
                let (before, after) = (before.map(|it| &it.1), after.map(|it| &it.1));
                let equal = before.zip(after).is_some_and(|(a, b)| same(a, b));
                if !equal {
                    return Some((key, before, after));
                }
            }
        })
    }
}

/// A place in a map.
struct Cursor<'m, K, V> {
    chunks: Peekable<slice::Iter<'m, Arc<Chunk<K, V>>>>,
    /// What is left of the chunk before `chunks`.
    entries: Peekable<slice::Iter<'m, (K, V)>>,
}

impl<'m, K, V> Cursor<'m, K, V> {
    fn new(map: &'m SharedMap<K, V>) -> Self {
        Self {
            chunks: map.chunks.iter().peekable(),
            entries: [].iter().peekable(),
        }
    }

    /// Goes past chunks that both maps have here.
    fn skip_common(&mut self, other: &mut Self) {
        while self.entries.peek().is_none() && other.entries.peek().is_none() {
            let common = match (self.chunks.peek(), other.chunks.peek()) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (_, _) => false,
            };
            if !common {
                return;
            }
            self.chunks.next();
            other.chunks.next();
        }
    }

    fn peek(&mut self) -> Option<&'m (K, V)> {
        if self.entries.peek().is_none() {
            self.entries = self.chunks.next()?.entries.iter().peekable();
        }
        self.entries.peek().copied()
    }

    fn next(&mut self) -> Option<&'m (K, V)> {
        self.peek()?;
        self.entries.next()
    }
}

impl<K, V> Chunk<K, V> {
    fn new(entries: Vec<(K, V)>) -> Self {
        Self {
            entries,
            digest: OnceLock::new(),
        }
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.entries
            .binary_search_by(|(known, _)| known.borrow().cmp(key))
    }
}

impl<K: Clone, V: Clone> Chunk<K, V> {
    /// The entries of a chunk to change: of a copy, if another map has the chunk too.
    fn change(chunk: &mut Arc<Self>) -> &mut Vec<(K, V)> {
        let chunk = Arc::make_mut(chunk);
        chunk.digest = OnceLock::new();
        &mut chunk.entries
    }
}

impl<K: Clone, V: Clone> Clone for Chunk<K, V> {
    fn clone(&self) -> Self {
        Self::new(self.entries.clone())
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self {
            chunks: self.chunks.iter().map(Arc::clone).collect(),
        }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.differences(other, V::eq).next().is_none()
    }
}

impl<K: Ord, V: Eq> Eq for SharedMap<K, V> {}

/// Hashes the sum of the entries' hashes, so that it does not matter how the entries are cut into chunks.
impl<K: Hash, V: Hash> Hash for SharedMap<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let digests = self.chunks.iter().map(|chunk| {
            let entries = chunk.entries.iter();
            *chunk.digest.get_or_init(|| {
                let hashes = entries.map(|entry| {
                    let mut hasher = DefaultHasher::new();
                    entry.hash(&mut hasher);
                    hasher.finish()
                });
                hashes.fold(0, u64::wrapping_add)
            })
        });
        state.write_usize(self.len());
        state.write_u64(digests.fold(0, u64::wrapping_add));
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Serialize, V: Serialize> Serialize for SharedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    /// Of equal keys the last one counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

/// Keys and values of a map, sorted by key.
#[derive(Debug)]
pub struct Iter<'m, K, V> {
    entries: slice::Iter<'m, (K, V)>,
    chunks: slice::Iter<'m, Arc<Chunk<K, V>>>,
}

impl<'m, K, V> Iterator for Iter<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.entries.next() {
                return Some((key, value));
            }
            self.entries = self.chunks.next()?.entries.iter();
        }
    }
}

impl<'m, K, V> IntoIterator for &'m SharedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Iter<'m, K, V> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
