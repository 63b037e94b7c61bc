//! Who holds a Lease: pure. Time is that of this process alone, so clocks that differ between nodes do no harm.
//!
//! A holder stops before its Lease ends, and another one takes it only after having seen it unchanged for its whole
//! duration: the two never overlap, whatever the delay between them.

use std::time::Duration;

/// How long a Lease lasts after it was renewed.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long its holder trusts it, counted from the moment the request was sent.
const TRUST: Duration = Duration::from_secs(10);

/// How long a Lease lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// After it was renewed, in the eyes of others.
    pub duration: Duration,
    /// How long its holder trusts it, counted from the moment the request was sent.
    pub trust: Duration,
}

impl Default for Term {
    fn default() -> Self {
        Self {
            duration: DURATION,
            trust: TRUST,
        }
    }
}

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; none: it was given back.
    pub holder: Option<String>,
    /// Changes with every renewal.
    pub version: String,
    /// How long it lasts, in its holder's opinion.
    pub duration: Option<Duration>,
}

/// What to do with a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// There is none.
    Create,
    /// It is ours.
    Renew,
    /// It is over.
    Take,
    /// Somebody else has it.
    Wait,
}

/// One competitor's knowledge.
#[derive(Debug)]
pub struct Election {
    identity: String,
    term: Term,
    /// The record that was read last, and when it was read first.
    seen: Option<(Record, Duration)>,
    held_until: Option<Duration>,
}

impl Election {
    /// Starts without the Lease.
    pub fn new(identity: String) -> Self {
        Self::with_term(identity, Term::default())
    }

    /// The same for a Lease that does not last as usual.
    pub fn with_term(identity: String, term: Term) -> Self {
        Self {
            identity,
            term,
            seen: None,
            held_until: None,
        }
    }

    /// Looks at the Lease as it is at `now`.
    pub fn observe(&mut self, now: Duration, record: Option<Record>) -> Attempt {
        let Some(record) = record else {
            self.lost();
            return Attempt::Create;
        };
        let since = match &self.seen {
            Some((last, since)) if *last == record => *since,
            Some(_) | None => now,
        };
        let over = since + record.duration.unwrap_or(self.term.duration) <= now;
        let attempt = match &record.holder {
            Some(holder) if *holder == self.identity => Attempt::Renew,
            Some(_) if over => Attempt::Take,
            None => Attempt::Take,
            Some(_) => Attempt::Wait,
        };
        if attempt != Attempt::Renew {
            self.held_until = None;
        }
        self.seen = Some((record, since));
        attempt
    }

    /// The attempt that was sent at `sent` was accepted.
    pub fn won(&mut self, sent: Duration) {
        self.held_until = Some(sent + self.term.trust);
    }

    /// Somebody else was faster.
    pub fn lost(&mut self) {
        self.held_until = None;
    }

    /// How long the Lease lasts.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Until when this process may act as the holder.
    pub fn held_until(&self) -> Option<Duration> {
        self.held_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_nobody_has_is_taken_at_once() {
        let mut election = Election::new("a".to_owned());
        assert_eq!(election.observe(at(0), None), Attempt::Create);
        assert_eq!(election.observe(at(0), record(None, "1")), Attempt::Take);
    }

    #[test]
    fn a_lease_that_is_renewed_is_never_taken() {
        let mut election = Election::new("a".to_owned());
        for second in 0..100 {
            let record = record(Some("b"), &(second / 10).to_string());
            assert_eq!(election.observe(at(second), record), Attempt::Wait);
        }
    }

    #[test]
    fn a_lease_that_stands_still_is_taken_after_its_duration() {
        let mut election = Election::new("a".to_owned());
        assert_eq!(
            election.observe(at(7), record(Some("b"), "1")),
            Attempt::Wait
        );
        assert_eq!(
            election.observe(at(21), record(Some("b"), "1")),
            Attempt::Wait
        );
        assert_eq!(
            election.observe(at(22), record(Some("b"), "1")),
            Attempt::Take
        );
    }

    #[test]
    fn the_holder_stops_before_anybody_may_take_over() {
        let (mut a, mut b) = (Election::new("a".to_owned()), Election::new("b".to_owned()));
        assert_eq!(a.observe(at(0), None), Attempt::Create);
        a.won(at(0));
        // The other one sees it at the same moment at the earliest.
        assert_eq!(b.observe(at(0), record(Some("a"), "1")), Attempt::Wait);
        let mut taken = 0;
        while b.observe(at(taken), record(Some("a"), "1")) == Attempt::Wait {
            taken += 1;
        }
        assert!(a.held_until().expect("it holds") < at(taken));
    }

    #[test]
    fn the_holder_knows_when_it_has_been_replaced() {
        let mut election = Election::new("a".to_owned());
        election.observe(at(0), None);
        election.won(at(0));
        assert_eq!(
            election.observe(at(1), record(Some("a"), "1")),
            Attempt::Renew
        );
        assert_eq!(
            election.observe(at(2), record(Some("b"), "2")),
            Attempt::Wait
        );
        assert_eq!(election.held_until(), None);
    }

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn record(holder: Option<&str>, version: &str) -> Option<Record> {
        Some(Record {
            holder: holder.map(str::to_owned),
            version: version.to_owned(),
            duration: Some(DURATION),
        })
    }
}
