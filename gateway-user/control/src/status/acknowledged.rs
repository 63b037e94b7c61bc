//! Which publication the gates have all taken over: its conditions are the ones to write.
//!
//! Pure. The gates follow each at their own speed, and while changes keep coming none of them may ever run the newest
//! publication; what all of them have reached is programmed all the same.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gateway_ir::Generation;
use gateway_translate::Statuses;

use super::{Reports, conditions};
use crate::Published;

/// After this time a publication is spoken of although a gate has not taken it over: the condition names the gate.
const LAGGARD: Duration = Duration::from_secs(10);
/// Publications that are remembered; the gates take the newest one, so few are ever on their way.
const WAITING_MAX: usize = 256;

/// What has been acknowledged, and what is waited for.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// The newest publication that every running gate has reached.
    reached: Option<Arc<Published>>,
    /// Those after it, with the time since when they are waited for.
    waiting: VecDeque<(Arc<Published>, Duration)>,
}

impl Acknowledged {
    /// Takes over a publication.
    pub fn publish(&mut self, now: Duration, published: Arc<Published>) {
        if self.waiting.len() == WAITING_MAX {
            // The oldest time stays: it is what the laggard is measured by.
            self.waiting.remove(1);
        }
        self.waiting.push_back((published, now));
    }

    /// The conditions to write, and the configuration that they are of; none: nothing has been taken over yet, or waited
    /// for long enough.
    pub fn conditions(
        &mut self,
        now: Duration,
        reports: &Reports,
    ) -> Option<(Generation, Statuses)> {
        self.advance(reports);
        if let (Some(deadline), Some((newest, _))) = (self.deadline(), self.waiting.back())
            && deadline <= now
        {
            return Some((newest.generation, conditions(newest, reports)));
        }
        let reached = self.reached.as_ref()?;
        // A gate that is further on has programmed this one too.
        let mut reports = reports.clone();
        for report in reports.values_mut().filter(|it| it.off.is_none()) {
            report.programmed = Some(reached.generation);
        }
        Some((reached.generation, conditions(reached, &reports)))
    }

    /// The newest configuration that every gate has taken over.
    pub fn reached(&self) -> Option<Generation> {
        self.reached.as_ref().map(|it| it.generation)
    }

    /// When a laggard is to be named.
    pub fn deadline(&self) -> Option<Duration> {
        let (_, since) = self.waiting.front()?;
        Some(*since + LAGGARD)
    }

    fn advance(&mut self, reports: &Reports) {
        let running = reports.values().filter(|it| it.off.is_none());
        let steps = running.map(|report| {
            let mut waiting = self.waiting.iter();
            let place = waiting.rposition(|(it, _)| Some(it.generation) == report.programmed);
            place.map_or(0, |it| it + 1)
        });
        let steps = steps.min().unwrap_or_default();
        if let Some((reached, _)) = self.waiting.drain(..steps).next_back() {
            self.reached = Some(reached);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gateway_ir::{Gate, GateReport, Snapshot};

    use super::*;

    #[test]
    fn nothing_is_said_before_every_gate_has_taken_it_over() {
        let mut it = Acknowledged::default();
        it.publish(at(0), published(1));
        assert_eq!(observed(&mut it, at(1), &reports(None, Some(1))), None);
        assert_eq!(
            observed(&mut it, at(1), &reports(Some(1), Some(1))),
            Some(1)
        );
    }

    #[test]
    fn what_all_have_reached_counts_although_none_is_at_the_newest() {
        let mut it = Acknowledged::default();
        (1..=4).for_each(|generation| it.publish(at(0), published(generation)));
        assert_eq!(
            observed(&mut it, at(1), &reports(Some(2), Some(3))),
            Some(2)
        );
        it.publish(at(1), published(5));
        assert_eq!(
            observed(&mut it, at(2), &reports(Some(5), Some(4))),
            Some(4)
        );
    }

    #[test]
    fn a_laggard_is_spoken_of_when_its_time_is_over() {
        let mut it = Acknowledged::default();
        it.publish(at(0), published(1));
        it.publish(at(1), published(2));
        let reports = reports(Some(1), Some(2));
        assert_eq!(observed(&mut it, at(10), &reports), Some(1));
        assert_eq!(it.deadline(), Some(at(11)));
        assert_eq!(observed(&mut it, at(11), &reports), Some(2));
    }

    fn observed(it: &mut Acknowledged, now: Duration, reports: &Reports) -> Option<i64> {
        let (_, conditions) = it.conditions(now, reports)?;
        conditions.iter().next().map(|it| it.generation)
    }

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn reports(steer: Option<u64>, proxy: Option<u64>) -> Reports {
        let report = |it: Option<u64>| GateReport {
            programmed: it.map(Generation),
            ..GateReport::default()
        };
        BTreeMap::from([(Gate::Steer, report(steer)), (Gate::Proxy, report(proxy))])
    }

    /// A publication whose only status says which one it is.
    fn published(generation: u64) -> Arc<Published> {
        use gateway_ir::ObjectName;
        use gateway_translate::{Announce, Kind, ObjectKey, ObjectStatus};
        let status = ObjectStatus {
            object: ObjectKey {
                kind: Kind::GatewayClass,
                name: ObjectName::new("", "sanmon"),
            },
            generation: generation.try_into().expect("small"),
            conditions: Vec::new(),
            addresses: Vec::new(),
            listeners: Vec::new(),
            parents: Vec::new(),
            ancestors: Vec::new(),
            attached_listener_sets: None,
        };
        Arc::new(Published {
            snapshot: Arc::new(Snapshot::default()),
            generation: Generation(generation),
            statuses: Statuses::from_iter([status]),
            infrastructure: Vec::new(),
            features: Vec::new(),
            warnings: Vec::new(),
            certificates: Vec::new(),
            problems: Vec::new(),
            nodes: Vec::new(),
            peers: Vec::new(),
            membership_key: None,
            has_pools: false,
            announce: Announce::On,
        })
    }
}
