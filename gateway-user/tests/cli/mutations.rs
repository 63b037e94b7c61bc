//! A broken object affects itself only: whatever is done to the objects of some sites, the others are served as before, and
//! each fault is said of an object of the site that has it.

mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use gateway_control::{Folder, Published};
use gateway_l7::{Explainer, Explanation, Question};
use gateway_translate::{Condition, ConditionStatus, ConditionType, Settings};
use http::{HeaderMap, Method};
use proptest::collection;
use proptest::prelude::{any, proptest};
use proptest::sample::Index;
use proptest::test_runner::Config;
use serde_json::{Value, json};

use self::faults::{FAULTS, Fault};
use crate::conf::Conf;
use crate::identity::Identity;

const SITES: usize = 5;
const PORTS: [(&str, u16); 2] = [("http", 80), ("https", 443)];

/// What a site consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Route,
    Service,
    Slice,
    Secret,
    Policy,
    /// Its listener; the Gateway is everybody's.
    Listener,
}

type Site = BTreeMap<Part, Value>;

/// Their keys take long to make.
static SITES_AS_THEY_SHOULD_BE: LazyLock<Vec<Site>> =
    LazyLock::new(|| (0..SITES).map(site).collect());

proptest! {
    #![proptest_config(Config { cases: Config::default().cases / 4, ..Config::default() })]

    #[test]
    fn a_broken_object_affects_itself_only_and_is_named(
        broken in collection::vec((0..SITES, any::<Index>()), 1..4),
    ) {
        let mut sites = SITES_AS_THEY_SHOULD_BE.clone();
        let mut faults: BTreeMap<usize, Vec<&Fault>> = BTreeMap::new();
        for (site, at) in &broken {
            let fault = at.get(FAULTS);
            let of_site = faults.entry(*site).or_default();
            // One fault of an object hides another.
            if of_site.iter().all(|known| known.part != fault.part) {
                fault.apply(sites[*site].get_mut(&fault.part).expect("every site has every part"));
                of_site.push(fault);
            }
        }
        let before = Served::of(&SITES_AS_THEY_SHOULD_BE);
        let after = Served::of(&sites);
        for site in 0..SITES {
            let Some(faults) = faults.get(&site) else {
                assert_eq!(after.explain(site), before.explain(site), "site {site} of {broken:?}");
                assert_eq!(after.complaints(site), Vec::<String>::new(), "site {site} of {broken:?}");
                continue;
            };
            let said = after.complaints(site);
            let quiet: Vec<&str> = faults.iter().map(|it| it.what).collect();
            assert!(!said.is_empty(), "nothing is said of site {site}: {quiet:?}");
        }
    }
}

#[test]
fn each_fault_alone_is_said_in_its_own_words() {
    let unsaid: Vec<String> = FAULTS
        .iter()
        .filter_map(|fault| {
            let mut sites = SITES_AS_THEY_SHOULD_BE.clone();
            let site = sites.first_mut().expect("there are some");
            fault.apply(
                site.get_mut(&fault.part)
                    .expect("every site has every part"),
            );
            let said = Served::of(&sites).complaints(0);
            let is_named = said.iter().any(|it| it.contains(fault.said));
            let Fault { part, what, .. } = fault;
            (!is_named)
                .then(|| format!("{part:?} with {what}: not {:?}, but {said:#?}", fault.said))
        })
        .collect();
    assert!(unsaid.is_empty(), "{}", unsaid.join("\n"));
}

/// What comes of a folder.
struct Served {
    published: Published,
    explainer: Explainer,
}

impl Served {
    fn of(sites: &[Site]) -> Self {
        let conf = Conf::new();
        let listeners: Vec<Value> =
            std::iter::once(&json!({"name": "http", "protocol": "HTTP", "port": 80}))
                .chain(sites.iter().map(|site| &site[&Part::Listener]))
                .cloned()
                .collect();
        let class = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": "sanmon"},
            "spec": {"controllerName": "sanmon.dev/gateway-controller"},
        });
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "main"},
            "spec": {"gatewayClassName": "sanmon", "listeners": listeners},
        });
        conf.write("class.yaml", &class.to_string());
        conf.write("gateway.yaml", &gateway.to_string());
        for (number, site) in sites.iter().enumerate() {
            let own = site.iter().filter(|(part, _)| **part != Part::Listener);
            for (part, object) in own {
                conf.write(&format!("site-{number}/{part:?}.yaml"), &object.to_string());
            }
        }
        let mut folder = Folder::open(conf.path()).expect("the folder");
        let published = Published::new(&folder.load(&BTreeSet::new()), &Settings::default());
        let explainer = Explainer::compile(Arc::clone(&published.snapshot)).expect("it compiles");
        Self {
            published,
            explainer,
        }
    }

    /// What happens to requests for a site.
    fn explain(&self, site: usize) -> Vec<Explanation> {
        let explained = PORTS.map(|(scheme, port)| {
            self.explainer.explain(&Question {
                method: Method::GET,
                url: format!("{scheme}://site-{site}.test:{port}/")
                    .parse()
                    .expect("a URL"),
                headers: HeaderMap::new(),
                server_name: None,
            })
        });
        explained.into()
    }

    /// What is said of the objects of a site.
    fn complaints(&self, site: usize) -> Vec<String> {
        let name = format!("site-{site}");
        let problems = self.published.problems.iter();
        let problems = problems
            .map(ToString::to_string)
            .filter(|it| it.contains(&name));
        let statuses = self.published.statuses.iter();
        let conditions = statuses.flat_map(|status| {
            let listeners = status.listeners.iter().filter(|it| it.name == name);
            let own = (*status.object.name.name == *name).then(|| status.all_conditions());
            let listeners = listeners.flat_map(|it| &it.conditions);
            own.into_iter()
                .flatten()
                .chain(listeners)
                .collect::<Vec<_>>()
        });
        let bad = conditions.filter(|it| is_bad(it));
        let bad = bad.map(|it| {
            format!(
                "{} {}: {}",
                it.kind.as_str(),
                it.reason.as_str(),
                it.message
            )
        });
        problems.chain(bad).collect()
    }
}

fn is_bad(condition: &Condition) -> bool {
    let bad = match condition.kind {
        ConditionType::Accepted
        | ConditionType::ResolvedRefs
        | ConditionType::Programmed
        | ConditionType::SupportedVersion => ConditionStatus::False,
        ConditionType::Conflicted | ConditionType::PartiallyInvalid => ConditionStatus::True,
        ConditionType::OverlappingTlsConfig | ConditionType::InsecureFrontendValidationMode => {
            return false;
        }
    };
    condition.status == bad
}

/// A site with a host, a certificate and an endpoint of its own, which is spoken to by TLS.
fn site(number: usize) -> Site {
    let name = format!("site-{number}");
    let host = format!("{name}.test");
    let metadata = json!({"name": name});
    let identity = Identity::new(&[&host]);
    let (certificate, key) = identity.pem();
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata,
        "spec": {
            "parentRefs": [{"name": "main", "sectionName": "http"}, {"name": "main", "sectionName": name}],
            "hostnames": [host],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": name, "port": 80}],
            }],
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"ports": [{"port": 80}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "ports": [{"port": 8080}],
        "endpoints": [{"addresses": [format!("192.0.2.{}", number + 1)]}],
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    });
    let policy = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy", "metadata": metadata,
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": name}],
            "validation": {"hostname": host, "wellKnownCACertificates": "System"},
        },
    });
    let listener = json!({
        "name": name, "protocol": "HTTPS", "port": 443, "hostname": host,
        "tls": {"certificateRefs": [{"name": name}]},
    });
    BTreeMap::from([
        (Part::Route, route),
        (Part::Service, service),
        (Part::Slice, slice),
        (Part::Secret, secret),
        (Part::Policy, policy),
        (Part::Listener, listener),
    ])
}
