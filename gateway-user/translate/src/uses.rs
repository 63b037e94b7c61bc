//! Which Gateways' routes lead to a Service through the proxy.

use std::collections::{BTreeMap, BTreeSet};

use gateway_ir::ObjectName;

/// The Gateways of each Service, each with the number of routes.
#[derive(Debug, Default)]
pub(crate) struct Uses(BTreeMap<ObjectName, BTreeMap<ObjectName, usize>>);

impl Uses {
    /// Routes of Gateways lead to Services.
    pub(crate) fn add_all(&mut self, uses: &BTreeSet<(ObjectName, ObjectName)>) {
        for (service, gateway) in uses {
            let gateways = self.0.entry(service.clone()).or_default();
            *gateways.entry(gateway.clone()).or_default() += 1;
        }
    }

    /// Takes back what was added.
    pub(crate) fn remove_all(&mut self, uses: &BTreeSet<(ObjectName, ObjectName)>) {
        for (service, gateway) in uses {
            self.remove(service, gateway);
        }
    }

    fn remove(&mut self, service: &ObjectName, gateway: &ObjectName) {
        let Some(gateways) = self.0.get_mut(service) else {
            return;
        };
        if let Some(routes) = gateways.get_mut(gateway) {
            *routes = routes.saturating_sub(1);
            if *routes == 0 {
                gateways.remove(gateway);
            }
        }
        if gateways.is_empty() {
            self.0.remove(service);
        }
    }

    /// The Gateways whose routes lead to a Service, sorted.
    pub(crate) fn gateways(&self, service: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        self.0.get(service).into_iter().flat_map(BTreeMap::keys)
    }
}
