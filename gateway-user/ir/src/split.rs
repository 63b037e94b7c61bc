//! How a rule divides its requests among backends.

use serde::Serialize;

use crate::{Filter, Target};

/// A target with its share of the rule's requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct WeightedBackend {
    /// Share in proportion to the sum of the rule's weights (Gateway API: `BackendRef.weight`); 0: none.
    pub weight: u32,
    /// Where they go.
    pub target: Target,
    /// The backendRef's own filters, applied after the rule's once the backend is chosen.
    pub filters: Vec<Filter>,
}
