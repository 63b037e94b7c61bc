//! Frames on their way through a bad stretch of network: in at one moment, out at another. It knows no clock and no socket.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::impairment::Impairment;

/// Frames under way at once; what comes beyond is lost, as in a switch.
const HELD_MAX: usize = 4096;

/// The frames under way in one direction.
#[derive(Debug)]
pub struct Transit {
    impairment: Impairment,
    held: BinaryHeap<Held>,
    count: u64,
    random: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Held {
    due: Duration,
    /// Frames that are due at the same time keep their order.
    number: u64,
    frame: Vec<u8>,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap's greatest is the one that leaves first.
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Transit {
    /// An empty stretch without trouble; the seed decides what later happens to which frame.
    pub fn new(seed: u64) -> Self {
        Self {
            impairment: Impairment::NONE,
            held: BinaryHeap::new(),
            count: 0,
            random: seed,
        }
    }

    /// Changes what happens to the frames that enter from now on.
    pub fn impair(&mut self, impairment: Impairment) {
        self.impairment = impairment;
    }

    /// Takes a frame in.
    pub fn enter(&mut self, now: Duration, frame: Vec<u8>) {
        if self.happens(self.impairment.lost_percent) {
            return;
        }
        if self.happens(self.impairment.duplicated_percent) {
            self.hold(now, frame.clone());
        }
        self.hold(now, frame);
    }

    /// Gives the next frame that is due out.
    pub fn leave(&mut self, now: Duration) -> Option<Vec<u8>> {
        if self.next_due()? > now {
            return None;
        }
        self.held.pop().map(|held| held.frame)
    }

    /// When the next frame leaves.
    pub fn next_due(&self) -> Option<Duration> {
        self.held.peek().map(|held| held.due)
    }

    fn hold(&mut self, now: Duration, frame: Vec<u8>) {
        if self.held.len() >= HELD_MAX {
            return;
        }
        let spread_us = u64::try_from(self.impairment.spread.as_micros()).unwrap_or(u64::MAX);
        let more = Duration::from_micros(self.roll(spread_us.saturating_add(1)));
        self.count += 1;
        self.held.push(Held {
            due: now + self.impairment.delay + more,
            number: self.count,
            frame,
        });
    }

    fn happens(&mut self, percent: u8) -> bool {
        self.roll(100) < u64::from(percent)
    }

    /// A number below another (SplitMix64).
    fn roll(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % below.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u8 = 200;

    #[test]
    fn frames_pass_at_once_and_in_order_where_nothing_is_wrong() {
        assert_eq!(
            passed(Impairment::NONE, at(0)),
            (0..COUNT).collect::<Vec<_>>()
        );
    }

    #[test]
    fn delayed_frame_leaves_when_it_is_due_and_not_before() {
        let mut transit = Transit::new(1);
        transit.impair(Impairment::NONE.delay(at(20)));
        transit.enter(at(5), vec![1]);
        assert_eq!(transit.next_due(), Some(at(25)));
        assert_eq!(transit.leave(at(24)), None);
        assert_eq!(transit.leave(at(25)), Some(vec![1]));
        assert_eq!(transit.next_due(), None);
    }

    #[test]
    fn delayed_frames_keep_their_order_and_reordered_ones_all_come() {
        let delayed = Impairment::NONE.delay(at(20));
        assert_eq!(passed(delayed, at(20)), (0..COUNT).collect::<Vec<_>>());
        let mut shuffled = passed(delayed.reorder(at(10)), at(30));
        assert!(!shuffled.is_sorted());
        shuffled.sort_unstable();
        assert_eq!(shuffled, (0..COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn about_so_many_frames_come_twice_or_never() {
        let twice = passed(Impairment::NONE.duplicate(30), at(0)).len();
        assert!((230..290).contains(&twice), "{twice}");
        let left = passed(Impairment::NONE.lose(30), at(0)).len();
        assert!((110..170).contains(&left), "{left}");
        assert_eq!(passed(Impairment::NONE.lose(100), at(0)), Vec::<u8>::new());
    }

    #[test]
    fn more_than_it_can_hold_is_lost() {
        let mut transit = Transit::new(1);
        transit.impair(Impairment::NONE.delay(at(1)));
        (0..=HELD_MAX).for_each(|_| transit.enter(at(0), vec![1]));
        let left = std::iter::from_fn(|| transit.leave(at(1))).count();
        assert_eq!(left, HELD_MAX);
    }

    /// Which of many frames that enter at one time have left by another, in order.
    fn passed(impairment: Impairment, until: Duration) -> Vec<u8> {
        let mut transit = Transit::new(1);
        transit.impair(impairment);
        (0..COUNT).for_each(|it| transit.enter(at(0), vec![it]));
        std::iter::from_fn(|| transit.leave(until))
            .flatten()
            .collect()
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}
