//! Events: what an operator should see happen, at the object that it happened to.
//!
//! What is wrong and stays wrong is a condition; an event says that it has become so. Every agent tells its [`Events`],
//! the leader writes them. Each says the same thing of the same object once and counts on after that, and there are never
//! more than the API server should have to bear.

mod complaints;
pub mod writer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gateway_translate::ObjectKey;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Events that wait to be written; above it the oldest are dropped.
const WAITING_MAX: usize = 256;
/// How long an event waits for a leader: longer than a dead leader's Lease lasts.
const WAITING_TIME_MAX: Duration = Duration::from_secs(60);

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Something that happens.
    Normal,
    /// Something that somebody may have to act on.
    Warning,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// The object that it happened to.
    pub regarding: ObjectKey,
    /// How much it matters.
    pub level: Level,
    /// Why, in one word.
    pub reason: &'static str,
    /// What was being done, in one word.
    pub action: &'static str,
    /// What, in a sentence.
    pub note: String,
}

/// Where happenings are told.
#[derive(Clone, Debug, Default)]
pub struct Events {
    waiting: Arc<Mutex<VecDeque<(Instant, Happening)>>>,
    told: Arc<Notify>,
}

impl Events {
    /// Tells of something that has happened.
    pub fn tell(&self, happening: Happening) {
        let mut waiting = self.waiting.lock();
        if waiting.iter().any(|(_, it)| *it == happening) {
            return;
        }
        if waiting.len() == WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back((Instant::now(), happening));
        self.told.notify_one();
    }

    /// The oldest that is not too old to be told.
    fn next(&self, now: Instant) -> Option<Happening> {
        let mut waiting = self.waiting.lock();
        loop {
            let (since, happening) = waiting.pop_front()?;
            if now.duration_since(since) <= WAITING_TIME_MAX {
                return Some(happening);
            }
        }
    }

    async fn told(&self) {
        self.told.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use gateway_ir::ObjectName;
    use gateway_translate::Kind;

    use super::*;

    #[tokio::test]
    async fn what_waits_already_is_not_told_twice_and_the_oldest_go_first() {
        let events = Events::default();
        events.tell(happening("a"));
        events.tell(happening("a"));
        (0..WAITING_MAX).for_each(|it| events.tell(happening(&it.to_string())));
        events.told().await;
        let notes: Vec<_> = std::iter::from_fn(|| events.next(Instant::now()))
            .map(|it| it.note)
            .collect();
        assert_eq!(notes.len(), WAITING_MAX);
        assert_eq!(notes.first().map(String::as_str), Some("0"));
    }

    #[test]
    fn what_no_leader_has_told_in_time_is_forgotten() {
        let events = Events::default();
        events.tell(happening("old"));
        let later = Instant::now() + WAITING_TIME_MAX + Duration::from_secs(1);
        assert_eq!(events.next(later), None);
    }

    fn happening(note: &str) -> Happening {
        Happening {
            regarding: ObjectKey {
                kind: Kind::Gateway,
                name: ObjectName::new("default", "web"),
            },
            level: Level::Warning,
            reason: "AddressNotAssigned",
            action: "Translate",
            note: note.to_owned(),
        }
    }
}
