//! A grant opens exactly what it says (conformance: GatewaySecretInvalidReferenceGrant has the near misses).

use super::*;

const GROUP: &str = "gateway.networking.k8s.io";

#[test]
fn only_a_grant_that_fits_in_everything_permits() {
    let fitting = (
        "vault",
        (GROUP, "Gateway", "default"),
        ("", "Secret", Some("cert")),
    );
    let with = |change: &dyn Fn(&mut Case)| {
        let mut case = fitting;
        change(&mut case);
        permits(case)
    };
    assert!(permits(fitting));
    assert!(with(&|it| it.2.2 = None), "without a name it is for all");
    assert!(!with(&|it| it.0 = "elsewhere"));
    assert!(!with(&|it| it.1.0 = ""));
    assert!(!with(&|it| it.1.1 = "HTTPRoute"));
    assert!(!with(&|it| it.1.2 = "elsewhere"));
    assert!(!with(&|it| it.2.0 = "apps"));
    assert!(!with(&|it| it.2.1 = "Service"));
    assert!(!with(&|it| it.2.2 = Some("other")));
}

#[test]
fn the_own_namespace_needs_no_grant() {
    let own = secret("default");
    assert!(Grants::default().permit(Kind::Gateway, &ObjectName::new("default", "gw"), &own));
}

/// The grant's namespace, what it is from and what it is to.
type Case = (
    &'static str,
    (&'static str, &'static str, &'static str),
    (&'static str, &'static str, Option<&'static str>),
);

fn permits((namespace, from, to): Case) -> bool {
    let grant = Grant {
        namespace: namespace.into(),
        from: vec![(from.0.to_owned(), from.1.to_owned(), from.2.to_owned())],
        to: vec![(to.0.to_owned(), to.1.to_owned(), to.2.map(str::to_owned))],
    };
    let gateway = ObjectName::new("default", "gw");
    Grants {
        grants: vec![grant],
    }
    .permit(Kind::Gateway, &gateway, &secret("vault"))
}

fn secret(namespace: &str) -> ObjectRef {
    ObjectRef {
        group: String::new(),
        kind: "Secret".to_owned(),
        name: ObjectName::new(namespace, "cert"),
    }
}
