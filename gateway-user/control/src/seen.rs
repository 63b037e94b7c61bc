//! What the API server has of the objects that are written: filled by the source, read by the writers.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_translate::ObjectKey;
use parking_lot::RwLock;
use tokio::sync::watch;

/// All that has been seen of one sort, shared between the source and a writer.
#[derive(Clone, Debug)]
pub struct SeenAll<T> {
    objects: Arc<RwLock<BTreeMap<ObjectKey, Arc<T>>>>,
    changes: watch::Sender<()>,
}

impl<T> Default for SeenAll<T> {
    fn default() -> Self {
        Self {
            objects: Arc::default(),
            changes: watch::Sender::new(()),
        }
    }
}

impl<T: PartialEq> SeenAll<T> {
    /// Takes over what has been read, and gives the form that is kept: the same one if nothing is new.
    pub fn set(&self, key: ObjectKey, seen: T) -> Arc<T> {
        let mut objects = self.objects.write();
        if let Some(last) = objects.get(&key)
            && **last == seen
        {
            return Arc::clone(last);
        }
        let seen = Arc::new(seen);
        objects.insert(key, Arc::clone(&seen));
        self.changes.send_replace(());
        seen
    }

    /// Forgets an object.
    pub fn remove(&self, key: &ObjectKey) {
        if self.objects.write().remove(key).is_some() {
            self.changes.send_replace(());
        }
    }

    /// What there is now.
    pub fn all(&self) -> BTreeMap<ObjectKey, Arc<T>> {
        self.objects.read().clone()
    }

    /// What is known of one object.
    pub fn one(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.objects.read().get(key).cloned()
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
