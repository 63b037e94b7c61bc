//! The programs of the host names: a route that changes changes the programs of its own hosts, and of them only its
//! entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_ir::{Entry, HostPattern, HostProgram, ListenerId, SharedMap};

use crate::shadow::{Shadows, Warning};

/// A host name of a listener's routes.
pub(crate) type HostKey = (ListenerId, HostPattern);

/// What a route brings to each host name, sorted by that.
#[derive(Debug)]
pub(crate) struct Placements(Box<[(HostKey, Vec<Arc<Entry>>)]>);

impl From<BTreeMap<HostKey, Vec<Arc<Entry>>>> for Placements {
    fn from(sorted: BTreeMap<HostKey, Vec<Arc<Entry>>>) -> Self {
        Self(sorted.into_iter().collect())
    }
}

impl Placements {
    fn get(&self, host: &HostKey) -> Option<&[Arc<Entry>]> {
        let at = self.0.binary_search_by(|(known, _)| known.cmp(host)).ok()?;
        self.0.get(at).map(|(_, entries)| entries.as_slice())
    }

    fn iter(&self) -> impl Iterator<Item = (&HostKey, &[Arc<Entry>])> {
        self.0
            .iter()
            .map(|(host, entries)| (host, entries.as_slice()))
    }
}

/// All programs.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    programs: BTreeMap<ListenerId, SharedMap<HostPattern, Arc<HostProgram>>>,
    shadows: Shadows,
}

/// What routes take away and bring, by host name.
#[derive(Debug, Default)]
pub(crate) struct Edits(BTreeMap<HostKey, Edit>);

#[derive(Debug, Default)]
struct Edit {
    gone: Vec<Arc<Entry>>,
    new: Vec<Arc<Entry>>,
}

impl Edits {
    /// A route brought `old` and brings `new`. Hosts where both are the same are not edited.
    pub(crate) fn exchange(&mut self, old: Option<&Placements>, new: Option<&Placements>) {
        for (key, entries) in old.into_iter().flat_map(Placements::iter) {
            if new.and_then(|new| new.get(key)) != Some(entries) {
                let edit = self.0.entry(key.clone()).or_default();
                edit.gone.extend(entries.iter().cloned());
            }
        }
        for (key, entries) in new.into_iter().flat_map(Placements::iter) {
            if old.and_then(|old| old.get(key)) != Some(entries) {
                let edit = self.0.entry(key.clone()).or_default();
                edit.new.extend(entries.iter().cloned());
            }
        }
    }
}

impl Hosts {
    /// Edits the programs; those of other hosts stay the same objects.
    pub(crate) fn apply(&mut self, edits: Edits) {
        for (key, edit) in edits.0 {
            let (listener, host) = &key;
            let programs = self.programs.entry(listener.clone()).or_default();
            let mut program = programs.get(host).map_or_else(HostProgram::default, |it| {
                // Shares its entries with the one that is served.
                HostProgram::clone(it)
            });
            for entry in &edit.gone {
                program.remove(&entry.precedence);
            }
            for entry in &edit.new {
                program.insert(Arc::clone(entry));
            }
            if program.is_empty() {
                programs.remove(host);
            } else {
                programs.insert(host.clone(), Arc::new(program));
            }
            if programs.is_empty() {
                self.programs.remove(listener);
            }
            self.shadows.apply(key, &edit.gone, edit.new);
        }
    }

    /// The programs of a listener.
    pub(crate) fn of(&self, listener: &ListenerId) -> SharedMap<HostPattern, Arc<HostProgram>> {
        self.programs.get(listener).cloned().unwrap_or_default()
    }

    /// The matches on these listeners that no request can reach.
    pub(crate) fn warnings(&mut self, served: Vec<ListenerId>) -> Vec<Warning> {
        self.shadows.warnings(served)
    }
}
