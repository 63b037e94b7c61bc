//! Which Gateways' routes lead to a Service through the proxy.

use std::collections::BTreeMap;

use gateway_ir::ObjectName;

/// A Service, and a Gateway whose routes lead to it.
pub(crate) type Use = (ObjectName, ObjectName);

/// The uses, each with the number of routes.
#[derive(Debug, Default)]
pub(crate) struct Uses(BTreeMap<Use, usize>);

impl Uses {
    /// Routes of Gateways lead to Services.
    pub(crate) fn add_all<'u>(&mut self, uses: impl IntoIterator<Item = &'u Use>) {
        for one in uses {
            *self.0.entry(one.clone()).or_default() += 1;
        }
    }

    /// Takes back what was added.
    pub(crate) fn remove_all<'u>(&mut self, uses: impl IntoIterator<Item = &'u Use>) {
        for one in uses {
            let Some(routes) = self.0.get_mut(one) else {
                continue;
            };
            *routes = routes.saturating_sub(1);
            if *routes == 0 {
                self.0.remove(one);
            }
        }
    }

    /// The Gateways whose routes lead to a Service, sorted.
    pub(crate) fn gateways(&self, service: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        let first = (service.clone(), ObjectName::new("", ""));
        let uses = self.0.range(first..).map(|(one, _)| one);
        let uses = uses.take_while(move |(of, _)| of == service);
        uses.map(|(_, gateway)| gateway)
    }
}
