//! Certificates that are used before their time or after it: the other end decides what it makes of that, and here it is
//! said. What is said depends on the time, which is an input like any other.

use std::sync::Arc;

use gateway_ir::{Certificate, ObjectName};

use crate::conv;

/// The time of the certificates of a Secret, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    secret: ObjectName,
    /// When all of the chain have become valid.
    not_before: i64,
    /// When the first of the chain stops being valid.
    not_after: i64,
}

impl Validity {
    pub(crate) fn of(certificate: &Certificate) -> Option<Self> {
        let (not_before, not_after) = conv::secret::validity(certificate)?;
        Some(Self {
            secret: certificate.secret.clone(),
            not_before,
            not_after,
        })
    }

    pub(crate) fn of_all(certificates: &[Arc<Certificate>]) -> Vec<Self> {
        let certificates = certificates.iter();
        certificates.filter_map(|it| Self::of(it)).collect()
    }

    /// What is wrong at a time.
    pub(crate) fn remark(&self, now: Time) -> Option<String> {
        let Time(Some(now)) = now else { return None };
        let secret = &self.secret;
        let (what, since) = if now < self.not_before {
            ("is not valid before", self.not_before)
        } else if now > self.not_after {
            ("has expired at", self.not_after)
        } else {
            return None;
        };
        let since = conv::secret::time(since);
        Some(format!(
            "the certificate of Secret {secret} {what} {since}; it is used all the same"
        ))
    }

    /// The next time after which something else is to be said; none: never, or the time is not known.
    pub(crate) fn next_change(&self, now: Time) -> Option<i64> {
        let now = now.0?;
        // Valid in its last second, too.
        let changes = [self.not_before, self.not_after.saturating_add(1)];
        changes.into_iter().filter(|it| *it > now).min()
    }
}

/// The time of a translation; none: nobody has said, and nothing is said about certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Time(Option<i64>);

impl Time {
    /// From seconds since 1970; 0: not known.
    pub(crate) fn new(seconds: i64) -> Self {
        Self((seconds != 0).then_some(seconds))
    }
}

/// What is wrong with certificates at a time, in one sentence for a condition; empty if nothing is.
pub(crate) fn remark<'a>(validities: impl IntoIterator<Item = &'a Validity>, now: Time) -> String {
    let remarks = validities.into_iter().filter_map(|it| it.remark(now));
    remarks.collect::<Vec<_>>().join("; ")
}
