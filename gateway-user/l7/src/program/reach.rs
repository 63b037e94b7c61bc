//! Which endpoints a program leads to, counted as rules come and go.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_ir::EndpointSet;

use super::trie::Trie;
use crate::transport::{Destination, EndpointKey, TransportId, Transports};

/// The endpoints that may get requests.
pub(crate) type Reachable = Trie<EndpointKey, usize>;

/// Everything that rules lead to.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) transports: Transports,
    /// By the address of the set, which the entry itself keeps alive; with the number of destinations.
    sets: HashMap<(usize, TransportId), (Arc<EndpointSet>, usize)>,
    /// With the number of sets that each is in.
    endpoints: Reachable,
}

impl Reach {
    /// Whether nothing leads anywhere.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.endpoints.is_empty() && self.transports.is_empty()
    }

    /// The endpoints as they are now.
    pub(super) fn endpoints(&self) -> Reachable {
        self.endpoints.clone()
    }

    /// Counts a destination more.
    pub(super) fn add(&mut self, destination: &Destination) {
        let (set, transport) = (&destination.backend.endpoints, destination.transport.id());
        let key = (Arc::as_ptr(set).addr(), transport);
        let (_, uses) = self.sets.entry(key).or_insert_with(|| {
            for endpoint in &set.endpoints {
                *self.endpoints.entry((endpoint.address, transport), || 0) += 1;
            }
            (Arc::clone(set), 0)
        });
        *uses += 1;
        self.transports.hold(&destination.transport);
    }

    /// Counts a destination less.
    pub(super) fn remove(&mut self, destination: &Destination) {
        let (set, transport) = (&destination.backend.endpoints, destination.transport.id());
        let key = (Arc::as_ptr(set).addr(), transport);
        let left = self.sets.get_mut(&key).map(|(_, uses)| {
            *uses -= 1;
            *uses
        });
        if left == Some(0) {
            self.sets.remove(&key);
            for endpoint in &set.endpoints {
                let key = (endpoint.address, transport);
                let sets = self.endpoints.entry(key, || 1);
                *sets -= 1;
                if *sets == 0 {
                    self.endpoints.remove(&key);
                }
            }
        }
        self.transports.release(&destination.transport);
    }

    /// Drops what nothing leads to any more.
    pub(super) fn forget_unused(&mut self) {
        self.transports.forget_unused();
    }
}
