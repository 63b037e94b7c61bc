//! What the API server serves of the Gateway API, and what a GatewayClass says about it.

use std::collections::BTreeSet;

use crate::condition::refuse;
use crate::model::Problem;
use crate::status::{Condition, ConditionStatus, ConditionType, Kind, Reason};

/// The minor versions of release 1 that are served.
const MINORS: std::ops::RangeInclusive<u32> = 4..=7;

/// The CRDs of the Gateway API in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The releases that they name (annotation `gateway.networking.k8s.io/bundle-version`); empty for one that names none.
    pub releases: BTreeSet<String>,
    /// The kinds of which no version is served that is read: they are off.
    pub missing: BTreeSet<Kind>,
}

impl Served {
    /// Gateway API: `GatewayClassConditionStatusSupportedVersion`.
    pub(crate) fn condition(&self) -> Condition {
        let kind = ConditionType::SupportedVersion;
        let off: Vec<_> = self.missing.iter().map(|it| it.as_str()).collect();
        let off = if off.is_empty() {
            String::new()
        } else {
            format!("; not served by the API server: {}", off.join(", "))
        };
        let named = self.releases.iter().filter(|it| !it.is_empty());
        let named: Vec<_> = named.map(String::as_str).collect();
        let strange = self.releases.iter().find(|it| !is_known(it));
        match strange {
            None => {
                let message = format!("Gateway API {}{off}", named.join(" and "));
                Condition::new(
                    kind,
                    ConditionStatus::True,
                    Reason::SupportedVersion,
                    message,
                )
            }
            Some(strange) => {
                let what = if strange.is_empty() {
                    "a CRD of the Gateway API does not say of which release it is".to_owned()
                } else {
                    format!("the CRDs are of Gateway API {strange}")
                };
                let (oldest, newest) = (MINORS.start(), MINORS.end());
                let message = format!(
                    "{what}, and v1.{oldest} to v1.{newest} are known: what they have in common is served{off}"
                );
                refuse(kind, &Problem::new(Reason::UnsupportedVersion, message))
            }
        }
    }
}

/// Whether a release such as `v1.7.0` or `v1.6.0-rc.1` is one of those that are served.
fn is_known(release: &str) -> bool {
    let rest = release.strip_prefix("v1.").unwrap_or_default();
    let minor = rest.split('.').next().unwrap_or_default();
    minor.parse().is_ok_and(|minor| MINORS.contains(&minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_releases_are_supported_and_what_they_lack_is_named() {
        for release in ["v1.4.1", "v1.6.0-rc.1", "v1.7.0"] {
            let condition = served(&[release], &[Kind::ListenerSet, Kind::UdpRoute]).condition();
            assert_eq!(condition.status, ConditionStatus::True);
            assert_eq!(condition.reason, Reason::SupportedVersion);
            let off = "not served by the API server: ListenerSet, UDPRoute";
            assert_eq!(condition.message, format!("Gateway API {release}; {off}"));
        }
    }

    #[test]
    fn other_releases_and_mixtures_with_them_are_not() {
        for releases in [
            &["v1.3.0"][..],
            &["v1.8.0"],
            &["v1.7.0", "v1.10.0"],
            &["monthly-2026.11"],
            &["", "v1.7.0"],
        ] {
            let condition = served(releases, &[]).condition();
            assert_eq!(condition.status, ConditionStatus::False, "{releases:?}");
            assert_eq!(condition.reason, Reason::UnsupportedVersion);
        }
    }

    fn served(releases: &[&str], missing: &[Kind]) -> Served {
        Served {
            releases: releases.iter().map(ToString::to_string).collect(),
            missing: missing.iter().copied().collect(),
        }
    }
}
