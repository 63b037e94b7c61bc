//! The matches that lead to rules, in order of precedence, and how they change.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use gateway_ir::{Entry, Match, Precedence};

use super::condition::Conditions;
use super::rule::Rule;
use super::steps;
use super::view::View;

/// A match, its path left out.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    conditions: Conditions,
    pub(super) rule: Arc<Rule>,
}

impl Candidate {
    pub(super) fn new(entry: &Arc<Entry>, rule: Arc<Rule>) -> Self {
        Self {
            conditions: Conditions::new(entry),
            rule,
        }
    }

    pub(super) fn entry(&self) -> &Arc<Entry> {
        self.conditions.entry()
    }

    /// Less is first.
    pub(super) fn precedence(&self) -> &Precedence {
        &self.entry().precedence
    }

    fn holds(&self, view: &View<'_>) -> bool {
        steps::count();
        self.conditions.unmet(view).is_none()
    }
}

/// Candidates that are asked one after the other, in order of precedence.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates(Box<[Candidate]>);

impl Candidates {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The precedence of the first.
    pub(super) fn best(&self) -> Option<&Precedence> {
        self.0.first().map(Candidate::precedence)
    }

    /// The first one that holds.
    pub(super) fn first(&self, view: &View<'_>) -> Option<&Candidate> {
        self.0.iter().find(|candidate| candidate.holds(view))
    }

    /// Takes candidates out and in.
    pub(super) fn edit(&mut self, edits: Edits) {
        let mut gone: Vec<*const Entry> = edits.gone.iter().map(Arc::as_ptr).collect();
        gone.sort_unstable();
        let mut all = std::mem::take(&mut self.0).into_vec();
        all.retain(|candidate| gone.binary_search(&Arc::as_ptr(candidate.entry())).is_err());
        all.extend(edits.new);
        all.sort_by(|one, other| one.precedence().cmp(other.precedence()));
        self.0 = all.into();
    }
}

/// What becomes of candidates.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) gone: Vec<Arc<Entry>>,
    pub(super) new: Vec<Candidate>,
}

impl Edits {
    /// The best precedence of the new ones.
    pub(super) fn best(&self) -> Option<&Arc<Precedence>> {
        let new = self.new.iter();
        new.map(|candidate| &candidate.entry().precedence).min()
    }

    /// The edits apart, by what is asked of their matches; in the order in which that first comes.
    pub(super) fn apart<K: Clone + Eq + Hash>(self, key: impl Fn(&Match) -> K) -> Vec<(K, Self)> {
        let mut apart = Apart::default();
        for entry in self.gone {
            apart.of(key(&entry.matches)).gone.push(entry);
        }
        for candidate in self.new {
            let key = key(&candidate.entry().matches);
            apart.of(key).new.push(candidate);
        }
        apart.edits
    }
}

/// Edits by key.
struct Apart<K> {
    edits: Vec<(K, Edits)>,
    places: HashMap<K, usize>,
}

impl<K> Default for Apart<K> {
    fn default() -> Self {
        Self {
            edits: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> Apart<K> {
    fn of(&mut self, key: K) -> &mut Edits {
        let next = self.edits.len();
        let place = *self.places.entry(key.clone()).or_insert(next);
        if place == next {
            self.edits.push((key, Edits::default()));
        }
        let edits = self.edits.get_mut(place);
        &mut edits.expect("each place is one of the list").1
    }
}
