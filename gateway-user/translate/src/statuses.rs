//! What became of all objects; a copy shares what is the same.

use std::sync::Arc;

use gateway_ir::{ObjectName, SharedMap, shared_map};
use serde::{Serialize, Serializer};

use crate::key::{Kind, ObjectKey};
use crate::status::ObjectStatus;

/// The statuses of objects, sorted by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(SharedMap<ObjectKey, Arc<ObjectStatus>>);

impl Statuses {
    /// The statuses, sorted by kind and name.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }

    /// The statuses of a kind, sorted by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &ObjectStatus> {
        let first = ObjectKey {
            kind,
            name: ObjectName::new("", ""),
        };
        let statuses = self.0.range_from(&first).map(|(_, status)| &**status);
        statuses.take_while(move |status| status.object.kind == kind)
    }

    /// The status of an object.
    pub fn get(&self, object: &ObjectKey) -> Option<&ObjectStatus> {
        self.shared(object).map(|status| &**status)
    }

    /// The status of an object, to keep.
    pub fn shared(&self, object: &ObjectKey) -> Option<&Arc<ObjectStatus>> {
        self.0.get(object)
    }

    /// The objects whose status is another one in `newer`, at the cost of what differs.
    pub fn differences<'s>(&'s self, newer: &'s Self) -> impl Iterator<Item = &'s ObjectKey> {
        let differences = self.0.differences(&newer.0, |a, b| a == b);
        differences.map(|(object, _, _)| object)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets the status of an object.
    pub fn set(&mut self, status: Arc<ObjectStatus>) {
        if self.0.get(&status.object) != Some(&status) {
            self.0.insert(status.object.clone(), status);
        }
    }

    /// Takes the status of an object out.
    pub fn remove(&mut self, object: &ObjectKey) {
        self.0.remove(object);
    }
}

impl FromIterator<ObjectStatus> for Statuses {
    fn from_iter<I: IntoIterator<Item = ObjectStatus>>(all: I) -> Self {
        let mut statuses = Self::default();
        for status in all {
            statuses.set(Arc::new(status));
        }
        statuses
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'s> IntoIterator for &'s Statuses {
    type Item = &'s ObjectStatus;
    type IntoIter = Iter<'s>;

    fn into_iter(self) -> Iter<'s> {
        self.iter()
    }
}

/// Statuses, sorted by kind and name.
#[derive(Debug)]
pub struct Iter<'s>(shared_map::Iter<'s, ObjectKey, Arc<ObjectStatus>>);

impl<'s> Iterator for Iter<'s> {
    type Item = &'s ObjectStatus;

    fn next(&mut self) -> Option<&'s ObjectStatus> {
        self.0.next().map(|(_, status)| &**status)
    }
}
