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
    sets: HashMap<Key, (Arc<EndpointSet>, usize)>,
    /// The sets that came since the endpoints were listed, and those that went.
    new: Vec<(Arc<EndpointSet>, TransportId)>,
    gone: Vec<(Arc<EndpointSet>, TransportId)>,
    /// With the number of sets that each is in.
    endpoints: Reachable,
}

type Key = (usize, TransportId);

impl Reach {
    /// Whether nothing leads anywhere.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.endpoints.is_empty() && self.transports.is_empty()
    }

    /// Lists the endpoints as they are now. That is a look at all endpoints of the sets that changed, of which there may be
    /// thousands, so it is done when the program is served already: only those that have gone wait for it.
    pub(super) fn list(&mut self) -> Reachable {
        for (set, transport) in std::mem::take(&mut self.new) {
            for endpoint in &set.endpoints {
                *self.endpoints.entry((endpoint.address, transport), || 0) += 1;
            }
        }
        for (set, transport) in std::mem::take(&mut self.gone) {
            for endpoint in &set.endpoints {
                let key = (endpoint.address, transport);
                let sets = self.endpoints.entry(key, || 1);
                *sets -= 1;
                if *sets == 0 {
                    self.endpoints.remove(&key);
                }
            }
        }
        self.endpoints.clone()
    }

    /// Counts a destination more.
    pub(super) fn add(&mut self, destination: &Destination) {
        let (set, transport) = (&destination.backend.endpoints, destination.transport.id());
        let (_, uses) = self.sets.entry(key(destination)).or_insert_with(|| {
            self.new.push((Arc::clone(set), transport));
            (Arc::clone(set), 0)
        });
        *uses += 1;
        self.transports.hold(&destination.transport);
    }

    /// Counts a destination less.
    pub(super) fn remove(&mut self, destination: &Destination) {
        let key = key(destination);
        let left = self.sets.get_mut(&key).map(|(_, uses)| {
            *uses -= 1;
            *uses
        });
        if left == Some(0)
            && let Some((set, _)) = self.sets.remove(&key)
        {
            self.gone.push((set, destination.transport.id()));
        }
        self.transports.release(&destination.transport);
    }

    /// Drops what nothing leads to any more.
    pub(super) fn forget_unused(&mut self) {
        self.transports.forget_unused();
    }
}

fn key(destination: &Destination) -> Key {
    let set = Arc::as_ptr(&destination.backend.endpoints);
    (set.addr(), destination.transport.id())
}
