//! Addresses of Gateways that other machines have, as happenings: pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_control::events::{Happening, Level};
use gateway_ir::ObjectName;
use gateway_translate::{Kind, ObjectKey};

use crate::board::{Contest, Owner};

/// What was told of each address that another machine has.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    told: BTreeMap<IpAddr, (String, Contest)>,
}

impl Conflicts {
    /// The conflicts that are new, or take another course than before.
    pub(crate) fn next(&mut self, owners: &[Owner]) -> Vec<Happening> {
        let mut told = BTreeMap::new();
        let mut happenings = Vec::new();
        for owner in owners {
            let (Some(mac), Some(contest)) = (&owner.conflict, owner.contest) else {
                continue;
            };
            let what = (mac.clone(), contest);
            if self.told.get(&owner.address) != Some(&what) {
                let gateway = owner.gateway.as_deref();
                happenings.extend(gateway.map(|it| happening(owner.address, it, mac, contest)));
            }
            told.insert(owner.address, what);
        }
        self.told = told;
        happenings
    }
}

fn happening(address: IpAddr, gateway: &str, mac: &str, contest: Contest) -> Happening {
    let (namespace, name) = gateway.split_once('/').unwrap_or_default();
    let course = match contest {
        Contest::Defended => "it is announced all the same",
        Contest::Withheld => "it is not announced until it is free",
        Contest::SetAside => "it is set aside, and the Gateway gets another one of its pool",
    };
    Happening {
        regarding: ObjectKey {
            kind: Kind::Gateway,
            name: ObjectName::new(namespace, name),
        },
        level: Level::Warning,
        reason: "AddressConflict",
        action: "Announce",
        note: format!("another machine, with the MAC {mac}, has {address}: {course}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_told_once_and_again_when_it_takes_another_course_or_comes_back() {
        let mut conflicts = Conflicts::default();
        assert_eq!(conflicts.next(&[owner(None)]), []);
        let told = conflicts.next(&[owner(Some(Contest::Defended))]);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].note,
            "another machine, with the MAC 02:00:00:00:00:66, has 192.0.2.1: it is announced all the same"
        );
        assert_eq!(told[0].regarding.name, ObjectName::new("shop", "web"));
        assert_eq!(conflicts.next(&[owner(Some(Contest::Defended))]), []);
        assert_eq!(conflicts.next(&[owner(Some(Contest::SetAside))]).len(), 1);
        let aside = Owner {
            gateway: None,
            ..owner(Some(Contest::SetAside))
        };
        assert_eq!(conflicts.next(&[aside]), []);
        assert_eq!(conflicts.next(&[]), []);
        assert_eq!(conflicts.next(&[owner(Some(Contest::SetAside))]).len(), 1);
    }

    fn owner(contest: Option<Contest>) -> Owner {
        Owner {
            address: [192, 0, 2, 1].into(),
            gateway: Some("shop/web".to_owned()),
            pool: None,
            node: None,
            since_ms: None,
            interfaces: Vec::new(),
            why: String::new(),
            conflict: contest.map(|_| "02:00:00:00:00:66".to_owned()),
            contest,
            withheld: None,
        }
    }
}
