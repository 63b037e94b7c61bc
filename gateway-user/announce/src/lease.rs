//! How long a node may answer for an address, and from which moment that counts.

use std::time::Duration;

/// The right to answer until a moment that comes from evidence.
///
/// The evidence is the send time of what a majority of the voters has acknowledged. It is a value and never read from
/// a clock where the deadline is written: a process that was frozen in between then writes a deadline that is already
/// past, which is harmless. An expired lease can not be renewed; the address must be won again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    evidence: Duration,
    length: Duration,
}

impl Lease {
    /// Wins the address on the strength of evidence.
    pub(crate) fn won(evidence: Duration, length: Duration) -> Self {
        Self { evidence, length }
    }

    /// The moment after which the kernel must not answer any more.
    pub(crate) fn until(self) -> Duration {
        self.evidence.saturating_add(self.length)
    }

    /// Tells whether the right has ended.
    pub(crate) fn is_expired(self, now: Duration) -> bool {
        now >= self.until()
    }

    /// When to look for newer evidence: three more chances before the end.
    pub(crate) fn renew_at(self) -> Duration {
        self.evidence.saturating_add(self.length / 4)
    }

    /// The lease on newer evidence; none when it ended meanwhile.
    pub(crate) fn renewed(self, now: Duration, evidence: Duration) -> Option<Self> {
        (!self.is_expired(now)).then(|| Self {
            evidence: self.evidence.max(evidence),
            length: self.length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_millis(1000);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn deadline_counts_from_the_evidence() {
        assert_eq!(Lease::won(at(5000), T).until(), at(6000));
        let renewed = Lease::won(at(5000), T).renewed(at(5900), at(5250));
        assert_eq!(renewed.map(Lease::until), Some(at(6250)));
    }

    #[test]
    fn expired_lease_is_never_extended() {
        let lease = Lease::won(at(5000), T);
        assert_eq!(lease.renewed(at(6000), at(6000)), None);
        assert_eq!(lease.renewed(at(9000), at(9000)), None);
    }

    #[test]
    fn older_evidence_does_not_shorten_a_lease() {
        let lease = Lease::won(at(5000), T);
        assert_eq!(lease.renewed(at(5500), at(4000)), Some(lease));
    }
}
