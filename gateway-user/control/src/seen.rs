//! What the API server has of the objects that are written: filled by the source, read by the writers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_translate::{Kind, ObjectKey};
use parking_lot::RwLock;
use tokio::sync::watch;

/// All that has been seen of one sort, shared between the source and a writer.
#[derive(Clone, Debug)]
pub struct SeenAll<T> {
    state: Arc<RwLock<State<T>>>,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct State<T> {
    objects: BTreeMap<ObjectKey, Arc<T>>,
    /// Those that have come, changed or gone since they were asked for.
    touched: BTreeSet<ObjectKey>,
}

impl<T> Default for SeenAll<T> {
    fn default() -> Self {
        Self {
            state: Arc::new(RwLock::new(State {
                objects: BTreeMap::new(),
                touched: BTreeSet::new(),
            })),
            changes: watch::Sender::new(()),
        }
    }
}

impl<T: PartialEq> SeenAll<T> {
    /// Takes over what has been read, and gives the form that is kept: the same one if nothing is new.
    pub fn set(&self, key: ObjectKey, seen: T) -> Arc<T> {
        let mut state = self.state.write();
        if let Some(last) = state.objects.get(&key)
            && **last == seen
        {
            return Arc::clone(last);
        }
        let seen = Arc::new(seen);
        state.touched.insert(key.clone());
        state.objects.insert(key, Arc::clone(&seen));
        self.changes.send_replace(());
        seen
    }

    /// Forgets an object.
    pub fn remove(&self, key: &ObjectKey) {
        let mut state = self.state.write();
        if state.objects.remove(key).is_some() {
            state.touched.insert(key.clone());
            self.changes.send_replace(());
        }
    }

    /// What there is now.
    pub fn all(&self) -> BTreeMap<ObjectKey, Arc<T>> {
        self.state.read().objects.clone()
    }

    /// What has come, changed or gone since the last time. One reader has to ask, and no other may: until then it is kept.
    pub fn take_touched(&self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut self.state.write().touched)
    }

    /// What there is now of a kind.
    pub fn of_kind(&self, kind: Kind) -> Vec<ObjectKey> {
        let state = self.state.read();
        let keys = state.objects.keys();
        keys.filter(|it| it.kind == kind).cloned().collect()
    }

    /// What is known of one object.
    pub fn one(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.state.read().objects.get(key).cloned()
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
