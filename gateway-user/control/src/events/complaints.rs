//! What has become wrong, by the difference of conditions: pure.

use std::collections::BTreeMap;

use gateway_translate::{
    Condition, ConditionStatus, ConditionType, Kind, ObjectKey, ObjectStatus, Reason, Statuses,
};

use super::{Happening, Level};
use crate::{Problem, Severity};

/// The kinds that an operator looks after; what is wrong with a route its owner reads there.
const TOLD: [Kind; 6] = [
    Kind::SanmonConfig,
    Kind::SanmonGatewayConfig,
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::ListenerSet,
    Kind::BackendTlsPolicy,
];

/// What is wrong as far as it was told.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    told: BTreeMap<Place, (Reason, String)>,
    problems: Vec<Problem>,
}

/// A condition of an object, or of one of its listeners or ancestors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    object: ObjectKey,
    /// Empty: the object's own.
    part: String,
    condition: ConditionType,
}

impl Complaints {
    /// What is wrong now and was not told yet.
    pub(super) fn next(&mut self, statuses: &Statuses) -> Vec<Happening> {
        let mut told = BTreeMap::new();
        let mut happenings = Vec::new();
        let statuses = TOLD.iter().flat_map(|kind| statuses.of_kind(*kind));
        for (place, condition) in statuses.flat_map(complaints) {
            let what = (condition.reason, condition.message.clone());
            if self.told.get(&place) != Some(&what) {
                happenings.push(happening(&place, condition));
            }
            told.insert(place, what);
        }
        self.told = told;
        happenings
    }

    /// The same for what is wrong with the source: it is said of the class, as there is no object.
    pub(super) fn problems(&mut self, class: &ObjectKey, problems: &[Problem]) -> Vec<Happening> {
        let wrong = |it: &&Problem| it.severity == Severity::Error;
        let new = problems.iter().filter(wrong);
        let new = new.filter(|it| !self.problems.contains(it));
        let happenings = new.map(|it| Happening {
            regarding: class.clone(),
            level: Level::Warning,
            reason: "NotRead",
            action: "Read",
            note: it.to_string(),
        });
        let happenings = happenings.collect();
        self.problems = problems.to_vec();
        happenings
    }
}

fn happening(place: &Place, condition: &Condition) -> Happening {
    let note = if place.part.is_empty() {
        condition.message.clone()
    } else {
        format!("{}: {}", place.part, condition.message)
    };
    Happening {
        regarding: place.object.clone(),
        level: Level::Warning,
        reason: condition.reason.as_str(),
        action: "Translate",
        note,
    }
}

/// What is wrong with an object.
fn complaints(status: &ObjectStatus) -> Vec<(Place, &Condition)> {
    let own = status.conditions.iter().map(|it| (String::new(), it));
    let listeners = status.listeners.iter().flat_map(|listener| {
        let conditions = listener.conditions.iter();
        conditions.map(|it| (format!("listener {}", listener.name), it))
    });
    let ancestors = status.ancestors.iter().flat_map(|ancestor| {
        let conditions = ancestor.conditions.iter();
        conditions.map(|it| (format!("at Gateway {}", ancestor.ancestor_ref.name), it))
    });
    let all = own.chain(listeners).chain(ancestors);
    all.filter(|(_, it)| is_complaint(it))
        .map(|(part, condition)| {
            let place = Place {
                object: status.object.clone(),
                part,
                condition: condition.kind,
            };
            (place, condition)
        })
        .collect()
}

/// Whether a condition says something bad that no other condition says already.
fn is_complaint(condition: &Condition) -> bool {
    match condition.kind {
        ConditionType::Accepted | ConditionType::ResolvedRefs | ConditionType::SupportedVersion => {
            condition.status == ConditionStatus::False
        }
        // What is not valid is not programmed either, and has been complained of.
        ConditionType::Programmed => {
            condition.status == ConditionStatus::False && condition.reason != Reason::Invalid
        }
        // Its listener is not accepted then, for the same reason.
        ConditionType::Conflicted
        | ConditionType::PartiallyInvalid
        | ConditionType::OverlappingTlsConfig
        | ConditionType::InsecureFrontendValidationMode => false,
    }
}

#[cfg(test)]
mod tests {
    use gateway_ir::ObjectName;
    use gateway_translate::ListenerStatus;

    use super::*;

    #[test]
    fn what_becomes_wrong_is_told_once_and_again_when_it_comes_back() {
        let mut complaints = Complaints::default();
        assert_eq!(complaints.next(&statuses(&[])), []);
        let missing = [broken("there is no Secret default/cert")];
        let told = complaints.next(&statuses(&missing));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].reason, "InvalidCertificateRef");
        assert_eq!(
            told[0].note,
            "listener tls: there is no Secret default/cert"
        );
        assert_eq!(complaints.next(&statuses(&missing)), []);
        let empty = [broken("Secret default/cert has no tls.crt")];
        assert_eq!(complaints.next(&statuses(&empty)).len(), 1);
        assert_eq!(complaints.next(&statuses(&[])), []);
        assert_eq!(complaints.next(&statuses(&empty)).len(), 1);
    }

    #[test]
    fn a_right_that_is_missing_is_told_of_the_class() {
        let mut complaints = Complaints::default();
        let class = ObjectKey {
            kind: Kind::GatewayClass,
            name: ObjectName::new("", "sanmon"),
        };
        let problem = Problem::of_file("cluster", "Secret default/cert may not be read");
        let problems = [problem];
        let told = complaints.problems(&class, &problems);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].regarding, class);
        assert_eq!(complaints.problems(&class, &problems), []);
        assert_eq!(complaints.problems(&class, &[]), []);
        assert_eq!(complaints.problems(&class, &problems).len(), 1);
    }

    fn broken(message: &str) -> Condition {
        let (kind, status) = (ConditionType::ResolvedRefs, ConditionStatus::False);
        Condition::new(kind, status, Reason::InvalidCertificateRef, message)
    }

    fn statuses(conditions: &[Condition]) -> Statuses {
        Statuses::from_iter([web(conditions)])
    }

    /// A Gateway whose listener has these conditions, and one that follows from them.
    fn web(conditions: &[Condition]) -> ObjectStatus {
        let (kind, status) = (ConditionType::Programmed, ConditionStatus::False);
        let follows = Condition::new(kind, status, Reason::Invalid, "no valid certificate");
        ObjectStatus {
            object: ObjectKey {
                kind: Kind::Gateway,
                name: ObjectName::new("default", "web"),
            },
            generation: 1,
            conditions: vec![follows],
            addresses: Vec::new(),
            listeners: vec![ListenerStatus {
                name: "tls".to_owned(),
                supported_kinds: Vec::new(),
                attached_routes: 0,
                conditions: conditions.to_vec(),
            }],
            parents: Vec::new(),
            ancestors: Vec::new(),
            attached_listener_sets: None,
        }
    }
}
