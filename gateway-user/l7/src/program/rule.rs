//! A compiled rule: its header edits and the split of its requests among backends.

use std::sync::Arc;

use gateway_ir::{Backend, EndpointSet, Filter, HeaderEdits, RuleId, Target};
use http::{HeaderMap, HeaderName};

use crate::headers::frames_messages;
use crate::random::Random;
use crate::refusal::Refusal;

/// What happens to a request that a rule matched.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Where it came from, for logs.
    pub(crate) id: RuleId,
    edits: Vec<HeaderEdits>,
    /// Each target with the sum of the weights up to and with its own.
    targets: Vec<(u64, Result<Arc<Backend>, Refusal>)>,
    weight_sum: u64,
}

impl Rule {
    pub(super) fn new(rule: &gateway_ir::Rule) -> Self {
        let mut edits = Vec::new();
        let mut unserved = false;
        for filter in &rule.filters {
            match filter {
                Filter::RequestHeaderModifier(modifier) => edits.push(without_framing(modifier)),
                Filter::ResponseHeaderModifier(_)
                | Filter::RequestRedirect(_)
                | Filter::UrlRewrite(_)
                | Filter::RequestMirror(_)
                | Filter::Cors(_) => unserved = true,
            }
        }
        let mut weight_sum = 0;
        let mut targets = Vec::new();
        for backend in rule.backends.iter().filter(|backend| backend.weight > 0) {
            weight_sum += u64::from(backend.weight);
            let target = match &backend.target {
                Target::Backend(_) if unserved || !backend.filters.is_empty() => {
                    Err(Refusal::NoBackend)
                }
                Target::Backend(backend) => Ok(Arc::clone(backend)),
                Target::Invalid(_) => Err(Refusal::NoBackend),
            };
            targets.push((weight_sum, target));
        }
        Self {
            id: rule.id.clone(),
            edits,
            targets,
            weight_sum,
        }
    }

    /// Draws a backend in proportion to the weights (Gateway API: `BackendRef.weight`).
    pub(crate) fn draw(&self, random: &Random) -> Result<&Backend, Refusal> {
        let (_, target) = match self.targets.as_slice() {
            [only] => only,
            several => {
                let ticket = random.below(self.weight_sum);
                let at = several.partition_point(|(sum, _)| *sum <= ticket);
                several.get(at).ok_or(Refusal::NoBackend)?
            }
        };
        target.as_deref().map_err(|refusal| *refusal)
    }

    /// The endpoints of the targets.
    pub(super) fn endpoint_sets(&self) -> impl Iterator<Item = &Arc<EndpointSet>> {
        self.targets
            .iter()
            .filter_map(|(_, target)| target.as_ref().ok())
            .map(|backend| &backend.endpoints)
    }

    /// Applies the header edits of the filters.
    pub(crate) fn edit(&self, headers: &mut HeaderMap) {
        for edits in &self.edits {
            for name in &edits.remove {
                headers.remove(name);
            }
            for (name, value) in &edits.set {
                headers.insert(name, value.clone());
            }
            for (name, value) in &edits.add {
                headers.append(name, value.clone());
            }
        }
    }
}

/// Leaves out headers that a message is delimited by: editing them would change what the next request is.
fn without_framing(edits: &HeaderEdits) -> HeaderEdits {
    let mut edits = edits.clone();
    edits.set.retain(|(name, _)| !frames_messages(name));
    edits
        .add
        .retain(|(name, _)| !frames_messages(name) && *name != http::header::HOST);
    edits
        .remove
        .retain(|name: &HeaderName| !frames_messages(name) && *name != http::header::HOST);
    edits
}
