//! Random routes, and requests of which most meet some of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The names that TLS connections ask for.
pub(crate) const SERVER_NAMES: [&str; 4] = ["a.test", "x.a.test", "x.b.test", "other.example"];

/// What requests and hostnames of routes are made of.
const HOSTS: [&str; 8] = [
    "a.test",
    "x.a.test",
    "y.a.test",
    "deep.y.a.test",
    "x.b.test",
    "other.example",
    "X.A.TEST.",
    "A.test:80",
];
const ROUTE_HOSTS: [&str; 7] = [
    "a.test",
    "*.a.test",
    "x.a.test",
    "*.y.a.test",
    "*.b.test",
    "*.test",
    "other.example",
];
const ELEMENTS: [&str; 4] = ["a", "b", "c", "%61"];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const ROUTES: usize = 24;
const RULES_MAX: usize = 6;

/// A request of the corpus.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) host: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// Of the TLS connection; none: clear text.
    pub(crate) server_name: Option<&'static str>,
}

/// How a rule matches paths: what replaces a prefix needs exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paths {
    OnePrefix,
    Others,
}

/// SplitMix64: the same seed gives the same corpus.
pub(crate) struct Corpus(u64);

impl Corpus {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = u128::from(mixed ^ (mixed >> 31)) * bound as u128;
        usize::try_from(drawn >> 64).expect("below the bound")
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        *of.get(self.below(of.len())).expect("below the length")
    }

    pub(crate) fn request(&mut self) -> Request {
        let preflight = self.one_in(12);
        let mut headers = Vec::new();
        for name in ["x-a", "x-b"] {
            if !self.one_in(3) {
                headers.push((name, self.pick(&["1", "2"])));
            }
        }
        if preflight {
            let origin = self.pick(&["https://ok.test", "https://evil.test"]);
            headers.push(("origin", origin));
            headers.push(("access-control-request-method", "PUT"));
        }
        Request {
            method: if preflight {
                "OPTIONS"
            } else {
                self.pick(&METHODS)
            },
            target: self.target(),
            host: self.pick(&HOSTS),
            headers,
            server_name: self.one_in(2).then(|| self.pick(&SERVER_NAMES)),
        }
    }

    fn target(&mut self) -> String {
        let mut target = self.path(4);
        match self.below(16) {
            0 => target.push('/'),
            1 => target.push_str("/.."),
            2 => target.push_str("/%2e/a"),
            3 if self.one_in(4) => target.push_str("%zz"),
            _usual => {}
        }
        if self.one_in(2) {
            let (p, q) = (self.pick(&["1", "2"]), self.pick(&["1", "2"]));
            target.push_str(&format!("?p={p}&q={q}"));
        }
        target
    }

    /// A path of up to so many elements.
    fn path(&mut self, max: usize) -> String {
        let count = self.below(max);
        let elements: Vec<&str> = (0..count).map(|_| self.pick(&ELEMENTS)).collect();
        format!("/{}", elements.join("/"))
    }

    /// All routes, as the documents of a file: JSON is YAML.
    pub(crate) fn routes(&mut self) -> String {
        let routes: Vec<String> = (0..ROUTES).map(|number| self.route(number)).collect();
        routes.join("\n---\n")
    }

    fn route(&mut self, number: usize) -> String {
        let name = format!("r{number}");
        let count = 1 + self.below(RULES_MAX);
        let rules: Vec<Value> = (0..count).map(|index| self.rule(&name, index)).collect();
        // One in eight is for every host.
        let count = if self.one_in(8) { 0 } else { 1 + self.below(2) };
        let hostnames: BTreeSet<&str> = (0..count).map(|_| self.pick(&ROUTE_HOSTS)).collect();
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name},
            "spec": {"parentRefs": [{"name": "main"}], "hostnames": hostnames, "rules": rules}
        })
        .to_string()
    }

    fn rule(&mut self, route: &str, index: usize) -> Value {
        let count = 1 + self.below(3);
        let matches: Vec<Value> = (0..count).map(|_| self.matches()).collect();
        let is_prefix = |it: &Value| it.pointer("/path/type") == Some(&json!("PathPrefix"));
        let paths = match matches.as_slice() {
            [only] if is_prefix(only) => Paths::OnePrefix,
            _several => Paths::Others,
        };
        let mark = json!([{"name": "x-rule", "value": format!("{route}-{index}")}]);
        let mark =
            json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": mark}});
        let mut filters = vec![mark];
        if self.one_in(5) {
            let origins = json!({"allowOrigins": ["https://ok.test"], "allowMethods": ["PUT"]});
            filters.push(json!({"type": "CORS", "cors": origins}));
        }
        if self.one_in(8) {
            let redirect = self.redirect(paths);
            filters.push(json!({"type": "RequestRedirect", "requestRedirect": redirect}));
            return json!({"matches": matches, "filters": filters});
        }
        filters.extend(self.rewrite(paths));
        let mut backends = vec![self.backend(paths)];
        if self.one_in(3) {
            backends.push(self.backend(paths));
        }
        json!({"matches": matches, "filters": filters, "backendRefs": backends})
    }

    fn matches(&mut self) -> Value {
        let path = match self.below(12) {
            0 => {
                json!({"type": "RegularExpression", "value": self.pick(&["/[ab]/.*", "/c.*", "/a(/b)?"])})
            }
            1..=4 => json!({"type": "Exact", "value": self.path(4)}),
            _prefix => json!({"type": "PathPrefix", "value": self.path(3)}),
        };
        let mut matches = Map::from_iter([("path".to_owned(), path)]);
        if self.one_in(4) {
            matches.insert("method".to_owned(), json!(self.pick(&METHODS)));
        }
        if self.one_in(3) {
            let name = self.pick(&["x-a", "x-b"]);
            let header = if self.one_in(6) {
                json!([{"name": name, "type": "RegularExpression", "value": "[13]"}])
            } else {
                json!([{"name": name, "value": self.pick(&["1", "2"])}])
            };
            matches.insert("headers".to_owned(), header);
        }
        if self.one_in(5) {
            let name = self.pick(&["p", "q"]);
            let params = json!([{"name": name, "value": self.pick(&["1", "2"])}]);
            matches.insert("queryParams".to_owned(), params);
        }
        matches.into()
    }

    fn redirect(&mut self, paths: Paths) -> Value {
        // What is null is as good as not there.
        let [hostname, scheme, path] = [0; 3].map(|_| self.one_in(2));
        json!({
            "statusCode": self.pick(&[301, 302, 307]),
            "hostname": hostname.then_some("new.test"),
            "scheme": scheme.then_some("https"),
            "port": self.one_in(3).then_some(8443),
            "path": path.then(|| self.new_path(paths)),
        })
    }

    fn rewrite(&mut self, paths: Paths) -> Option<Value> {
        if !self.one_in(4) {
            return None;
        }
        let hostname = self.one_in(2).then_some("inner.test");
        let rewrite = json!({"path": self.new_path(paths), "hostname": hostname});
        Some(json!({"type": "URLRewrite", "urlRewrite": rewrite}))
    }

    fn new_path(&mut self, paths: Paths) -> Value {
        if paths == Paths::OnePrefix {
            json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": self.pick(&["/", "/new", "/new/"])})
        } else {
            json!({"type": "ReplaceFullPath", "replaceFullPath": "/full"})
        }
    }

    fn backend(&mut self, paths: Paths) -> Value {
        let name = self.pick(&["one", "one", "two", "two", "two", "missing", "empty"]);
        let weight = self.pick(&[0, 1, 1, 1, 3]);
        let filters: Vec<Value> = self.rewrite(paths).into_iter().collect();
        json!({"name": name, "port": 80, "weight": weight, "filters": filters})
    }
}

/// The class, the Gateway and a Service without endpoints.
pub(crate) fn gateway(clear: u16, secure: u16) -> String {
    let tls = json!({"certificateRefs": [{"name": "cert"}]});
    let objects = [
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": "sanmon"},
            "spec": {"controllerName": "sanmon.dev/gateway-controller"}
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "main"},
            "spec": {
                "gatewayClassName": "sanmon",
                "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
                "listeners": [
                    {"name": "web", "port": clear, "protocol": "HTTP", "hostname": "*.test"},
                    {"name": "web-a", "port": clear, "protocol": "HTTP", "hostname": "*.a.test"},
                    {"name": "tls", "port": secure, "protocol": "HTTPS", "tls": tls},
                    {"name": "tls-a", "port": secure, "protocol": "HTTPS", "hostname": "*.a.test", "tls": tls},
                    {"name": "tls-x", "port": secure, "protocol": "HTTPS", "hostname": "x.a.test", "tls": tls}
                ]
            }
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "empty"}, "spec": {"ports": [{"port": 80}]}
        }),
    ];
    objects.map(|it| it.to_string()).join("\n---\n")
}
