//! A compiled rule: its filters and the split of its requests among backends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_ir::{Filter, Retry, RuleId, Target, Timeouts};

use super::reach::Reach;
use super::weighted::Weighted;
use crate::auth::Auth;
use crate::filter::Filters;
use crate::refusal::Refusal;
use crate::session::{Sessions, TokenKeys};
use crate::transport::{Destination, Transports};

/// What happens to a request that a rule matched.
#[derive(Debug)]
pub(crate) struct Rule {
    source: Arc<gateway_ir::Rule>,
    pub(crate) filters: Filters,
    /// Who has to agree.
    pub(crate) auth: Option<Box<Auth>>,
    pub(crate) mirrors: Box<[Mirror]>,
    pub(crate) sessions: Option<Box<Sessions>>,
    pub(crate) shares: Weighted<Share>,
}

/// Compiles rules, and remembers those in use: what a mirror has counted outlives a change of other rules.
#[derive(Debug)]
pub(super) struct Rules {
    /// By the address of the source, which the compiled rule keeps alive; with the number of matches that lead to it.
    known: HashMap<usize, (Arc<Rule>, usize)>,
    /// What has been let go of since the last look.
    loose: Vec<Arc<gateway_ir::Rule>>,
    keys: TokenKeys,
}

impl Rules {
    pub(super) fn new(keys: TokenKeys) -> Self {
        Self {
            known: HashMap::new(),
            loose: Vec::new(),
            keys,
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Takes other keys into use for the rules that are compiled from now on.
    pub(super) fn set_keys(&mut self, keys: TokenKeys) {
        self.keys = keys;
    }

    /// The compiled form of a rule, for one match more.
    pub(super) fn take(&mut self, rule: &Arc<gateway_ir::Rule>, reach: &mut Reach) -> Arc<Rule> {
        let known = self.known.entry(Arc::as_ptr(rule).addr());
        let known = known.or_insert_with(|| {
            let compiled = Rule::new(rule, &mut reach.transports, &self.keys);
            compiled.destinations().for_each(|it| reach.add(it));
            (Arc::new(compiled), 0)
        });
        let (compiled, uses) = known;
        *uses += 1;
        Arc::clone(compiled)
    }

    /// One match less leads to a rule; another one may still be on its way.
    pub(super) fn give_back(&mut self, rule: &Arc<gateway_ir::Rule>) {
        if let Some((_, uses)) = self.known.get_mut(&Arc::as_ptr(rule).addr()) {
            *uses -= 1;
            if *uses == 0 {
                self.loose.push(Arc::clone(rule));
            }
        }
    }

    /// Drops the rules that no match leads to any more.
    pub(super) fn forget_unused(&mut self, reach: &mut Reach) {
        for rule in std::mem::take(&mut self.loose) {
            let key = Arc::as_ptr(&rule).addr();
            if self.known.get(&key).is_some_and(|(_, uses)| *uses == 0)
                && let Some((gone, _)) = self.known.remove(&key)
            {
                gone.destinations()
                    .for_each(|destination| reach.remove(destination));
            }
        }
    }
}

/// A backend's share of a rule's requests.
#[derive(Debug)]
pub(crate) struct Share {
    /// Where they go, or why nowhere.
    pub(crate) destination: Result<Destination, Refusal>,
    /// The backendRef's own filters.
    pub(crate) filters: Filters,
    /// Who has to agree.
    pub(crate) auth: Option<Box<Auth>>,
    pub(crate) mirrors: Box<[Mirror]>,
}

/// Where copies of requests go.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) destination: Destination,
    numerator: u64,
    denominator: u64,
    /// Requests that have come by, on all workers.
    seen: AtomicU64,
}

impl Mirror {
    /// The mirrors of a list of filters; those that lead nowhere get nothing.
    fn of(filters: &[Filter], transports: &mut Transports) -> Box<[Self]> {
        let mut mirrors = Vec::new();
        for filter in filters {
            if let Filter::RequestMirror(mirror) = filter
                && let Target::Backend(backend) = &mirror.target
                && let Ok(destination) = transports.destination(backend)
            {
                mirrors.push(Self {
                    destination,
                    numerator: u64::from(mirror.share.numerator),
                    denominator: u64::from(mirror.share.denominator).max(1),
                    seen: AtomicU64::new(0),
                });
            }
        }
        mirrors.into()
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Whether this request is copied: of each `denominator` requests in a row exactly `numerator` are, evenly spread.
    pub(crate) fn takes_next(&self) -> bool {
        let turn = self.seen.fetch_add(1, Ordering::Relaxed) % self.denominator;
        let copied = |requests| requests * self.numerator / self.denominator;
        copied(turn + 1) > copied(turn)
    }
}

impl Rule {
    pub(super) fn new(
        rule: &Arc<gateway_ir::Rule>,
        transports: &mut Transports,
        keys: &TokenKeys,
    ) -> Self {
        let shares = rule.backends.iter().map(|backend| {
            let share = Share {
                destination: match &backend.target {
                    Target::Backend(backend) => transports.destination(backend),
                    Target::Invalid(_) => Err(Refusal::NoBackend),
                },
                filters: Filters::new(&backend.filters),
                auth: Auth::of(&backend.filters, transports),
                mirrors: Mirror::of(&backend.filters, transports),
            };
            (backend.weight, share)
        });
        let shares: Weighted<Share> = Weighted::new(shares);
        let sessions = rule.persistence.as_ref().map(|persistence| {
            let destinations = shares.iter().map(|share| share.destination.as_ref().ok());
            let sessions = Sessions::new(persistence, &rule.id, keys, destinations);
            Box::new(sessions)
        });
        Self {
            source: Arc::clone(rule),
            filters: Filters::new(&rule.filters),
            auth: Auth::of(&rule.filters, transports),
            mirrors: Mirror::of(&rule.filters, transports),
            sessions,
            shares,
        }
    }

    /// Where it came from, for logs.
    pub(crate) fn id(&self) -> &RuleId {
        &self.source.id
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.source.timeouts
    }

    pub(crate) fn retry(&self) -> Option<&Retry> {
        self.source.retry.as_ref()
    }

    /// Everywhere that its requests, their copies and the questions about them may go.
    pub(super) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        let shares = self.shares.iter();
        shares
            .flat_map(|share| {
                share
                    .destination
                    .iter()
                    .chain(share.mirrors.iter().map(Mirror::destination))
                    .chain(share.auth.iter().flat_map(|auth| auth.destination()))
            })
            .chain(self.mirrors.iter().map(Mirror::destination))
            .chain(self.auth.iter().flat_map(|auth| auth.destination()))
    }
}
