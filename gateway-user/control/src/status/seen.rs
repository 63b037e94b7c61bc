//! The statuses as the API server has them: filled by the source, read by the writer.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_translate::ObjectKey;
use kube::core::ApiResource;
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;

/// What is known of an object's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where the object lives in the API.
    pub resource: Arc<ApiResource>,
    /// The version that a write must be based on.
    pub resource_version: String,
    /// `status` as text, which is a tenth of the size of a parsed value.
    status: Box<str>,
}

impl Seen {
    /// Keeps a status; null: there is none.
    pub fn new(resource: Arc<ApiResource>, resource_version: String, status: &Value) -> Self {
        Self {
            resource,
            resource_version,
            status: status.to_string().into(),
        }
    }

    /// The status.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.status).unwrap_or_default()
    }
}

/// All that has been seen, shared between the source and the writer.
#[derive(Clone, Debug)]
pub struct SeenAll {
    objects: Arc<RwLock<BTreeMap<ObjectKey, Arc<Seen>>>>,
    changes: watch::Sender<()>,
}

impl Default for SeenAll {
    fn default() -> Self {
        Self {
            objects: Arc::default(),
            changes: watch::Sender::new(()),
        }
    }
}

impl SeenAll {
    /// Takes over what has been read, and gives the form that is kept: the same one if nothing is new.
    pub fn set(&self, key: ObjectKey, seen: Seen) -> Arc<Seen> {
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
    pub fn all(&self) -> BTreeMap<ObjectKey, Arc<Seen>> {
        self.objects.read().clone()
    }

    /// What is known of one object.
    pub fn one(&self, key: &ObjectKey) -> Option<Arc<Seen>> {
        self.objects.read().get(key).cloned()
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
