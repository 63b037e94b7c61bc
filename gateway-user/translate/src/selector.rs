//! Label selectors and the namespaces that something is open to.

use std::collections::BTreeMap;

use crate::model::{Namespaces, Operator, Requirement, Selector};

impl Selector {
    /// Tells whether labels fulfil every requirement; without requirements all do.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|it| it.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Unknown => false,
        }
    }
}

impl Namespaces {
    /// Tells whether an object of a namespace with these labels is let in by an object in `own`.
    pub(crate) fn allow(
        &self,
        own: &str,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        match self {
            Self::All => true,
            Self::Same => own == namespace,
            Self::None => false,
            Self::Selector(selector) => selector.matches(labels),
        }
    }
}

#[cfg(test)]
mod tests;
