//! A compiled rule: its filters and the split of its requests among backends.

use std::sync::Arc;

use gateway_ir::{Backend, EndpointSet, RuleId, Target};

use crate::filter::Filters;
use crate::random::Random;
use crate::refusal::Refusal;

/// What happens to a request that a rule matched.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Where it came from, for logs.
    pub(crate) id: RuleId,
    pub(crate) filters: Filters,
    /// Each share with the sum of the weights up to and with its own.
    shares: Vec<(u64, Share)>,
    weight_sum: u64,
}

/// A backend's share of a rule's requests.
#[derive(Debug)]
pub(crate) struct Share {
    /// Where they go, or why nowhere.
    pub(crate) backend: Result<Arc<Backend>, Refusal>,
    /// The backendRef's own filters.
    pub(crate) filters: Filters,
}

impl Rule {
    pub(super) fn new(rule: &gateway_ir::Rule) -> Self {
        let mut weight_sum = 0;
        let mut shares = Vec::new();
        for backend in rule.backends.iter().filter(|backend| backend.weight > 0) {
            weight_sum += u64::from(backend.weight);
            let share = Share {
                backend: match &backend.target {
                    Target::Backend(backend) => Ok(Arc::clone(backend)),
                    Target::Invalid(_) => Err(Refusal::NoBackend),
                },
                filters: Filters::new(&backend.filters),
            };
            shares.push((weight_sum, share));
        }
        Self {
            id: rule.id.clone(),
            filters: Filters::new(&rule.filters),
            shares,
            weight_sum,
        }
    }

    /// Draws a share in proportion to the weights (Gateway API: `BackendRef.weight`).
    pub(crate) fn draw(&self, random: &Random) -> Option<&Share> {
        let (_, share) = match self.shares.as_slice() {
            [only] => only,
            several => {
                let ticket = random.below(self.weight_sum);
                let at = several.partition_point(|(sum, _)| *sum <= ticket);
                several.get(at)?
            }
        };
        Some(share)
    }

    /// The endpoints of the shares.
    pub(super) fn endpoint_sets(&self) -> impl Iterator<Item = &Arc<EndpointSet>> {
        self.shares
            .iter()
            .filter_map(|(_, share)| share.backend.as_ref().ok())
            .map(|backend| &backend.endpoints)
    }
}
