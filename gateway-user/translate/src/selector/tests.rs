//! Label selectors as Kubernetes defines them.

use super::*;

#[test]
fn each_operator_holds_for_its_labels() {
    use Operator::{DoesNotExist, Exists, In, NotIn, Unknown};
    for (operator, values, web, none) in [
        (In, vec!["web", "db"], true, false),
        (In, vec!["db"], false, false),
        (NotIn, vec!["db"], true, true),
        (NotIn, vec!["web"], false, true),
        (Exists, vec![], true, false),
        (DoesNotExist, vec![], false, true),
        (Unknown, vec!["web"], false, false),
    ] {
        let selector = selector(&[(operator, values.clone())]);
        assert_eq!(
            selector.matches(&labels(&[("team", "web")])),
            web,
            "{operator:?} {values:?}"
        );
        assert_eq!(
            selector.matches(&labels(&[])),
            none,
            "{operator:?} {values:?}"
        );
    }
}

#[test]
fn all_requirements_must_hold_and_none_is_all() {
    let both = selector(&[(Operator::Exists, vec![]), (Operator::NotIn, vec!["web"])]);
    assert!(!both.matches(&labels(&[("team", "web")])));
    assert!(both.matches(&labels(&[("team", "db")])));
    assert!(Selector::default().matches(&labels(&[])));
}

#[test]
fn same_means_the_gateways_namespace_and_none_means_nobody() {
    let nothing = labels(&[]);
    assert!(Namespaces::Same.allow("a", "a", &nothing));
    assert!(!Namespaces::Same.allow("a", "b", &nothing));
    assert!(Namespaces::All.allow("a", "b", &nothing));
    assert!(!Namespaces::None.allow("a", "a", &nothing));
}

fn selector(requirements: &[(Operator, Vec<&str>)]) -> Selector {
    let requirements = requirements.iter().map(|(operator, values)| Requirement {
        key: "team".to_owned(),
        operator: *operator,
        values: values.iter().map(|it| (*it).to_owned()).collect(),
    });
    Selector {
        requirements: requirements.collect(),
    }
}

fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
