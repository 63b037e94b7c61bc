//! What is explained is what is served: random requests for random routes, each explained and sent.

mod corpus;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use gateway_control::{Folder, Published};
use gateway_l7::{Answer as Explained, Explainer, Explanation, Fate, Outcome, Question};
use gateway_translate::Settings;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;

use self::corpus::{Corpus, Request};
use crate::agent::Agent;
use crate::backend::Backend;
use crate::conf::{Conf, free_port, service};
use crate::http::{Answer, Connection};
use crate::identity::{Identity, Tls, connect};

const CLIENTS: u64 = 8;
const REQUESTS_PER_CLIENT: usize = 1_250;
const SEED: u64 = 0x5a6e_6d6f_6e21;

#[test]
fn ten_thousand_requests_are_served_as_they_are_explained() {
    let (clear, secure) = (free_port(), free_port());
    let identity = Identity::new(&corpus::SERVER_NAMES);
    let pods = [("one", Backend::echo("one")), ("two", Backend::echo("two"))];
    let conf = Conf::new();
    conf.write("gateway.yaml", &corpus::gateway(clear, secure));
    conf.write("secret.yaml", &identity.secret("cert"));
    conf.write("routes.yaml", &Corpus::new(SEED).routes());
    for (name, pod) in &pods {
        conf.write(&format!("{name}.yaml"), &service(name, pod.port));
    }
    let _agent = Agent::start(&conf);
    let explainer = &explainer(&conf);

    let statuses: BTreeSet<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|number| {
                let clients = Clients::new((clear, secure), &identity);
                scope.spawn(move || compare(SEED + number, clients, explainer))
            })
            .collect();
        let results = clients.into_iter();
        results
            .flat_map(|client| client.join().expect("agreement"))
            .collect()
    });
    // Otherwise the corpus has lost what it is for.
    let expected = [200, 204, 301, 302, 307, 400, 404, 421, 500, 503];
    assert_eq!(statuses, BTreeSet::from(expected));
}

/// Sends requests and compares their answers with the explanations; gives the statuses.
fn compare(seed: u64, mut clients: Clients, explainer: &Explainer) -> BTreeSet<u16> {
    let mut corpus = Corpus::new(seed);
    let (clear, secure) = clients.ports;
    let mut statuses = BTreeSet::new();
    for number in 0..REQUESTS_PER_CLIENT {
        let request = corpus.request();
        let port = if request.server_name.is_some() {
            secure
        } else {
            clear
        };
        let explanation = explainer.explain(&question(&request, port));
        let answer = clients.send(&request);
        if let Err(why) = agree(&explanation, &answer) {
            panic!(
                "request {number} of seed {seed:#x}: {why}\n{request:?}\n{explanation:#?}\n{answer:?}"
            );
        }
        statuses.insert(answer.status);
    }
    statuses
}

fn explainer(conf: &Conf) -> Explainer {
    let mut folder = Folder::open(conf.path()).expect("the folder");
    let content = folder.load(&BTreeSet::new());
    let published = Published::new(&content, &Settings::default());
    assert!(published.problems.is_empty(), "{:?}", published.problems);
    Explainer::compile(Arc::clone(&published.snapshot)).expect("it compiles")
}

/// Connections that are opened when they are needed.
struct Clients {
    ports: (u16, u16),
    config: Arc<ClientConfig>,
    clear: Option<Connection<TcpStream>>,
    /// By server name.
    secure: BTreeMap<&'static str, Connection<Tls>>,
}

impl Clients {
    fn new(ports: (u16, u16), identity: &Identity) -> Self {
        Self {
            ports,
            config: Arc::new(identity.client()),
            clear: None,
            secure: BTreeMap::new(),
        }
    }

    fn send(&mut self, request: &Request) -> Answer {
        let line = format!("{} {}", request.method, request.target);
        let lines = request.headers.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers = format!("host: {}\r\n{}", request.host, lines.collect::<String>());
        let (clear, secure) = self.ports;
        let config = &self.config;
        let sent = match request.server_name {
            None => {
                let connection = self.clear.get_or_insert_with(|| Connection::open(clear));
                connection.send(&line, &headers)
            }
            Some(name) => {
                let connection = self.secure.entry(name);
                let open = || Connection::over(connect(secure, name, config));
                connection.or_insert_with(open).send(&line, &headers)
            }
        };
        let answer = sent.unwrap_or_else(|error| panic!("{error}: {request:?}"));
        if answer.header("connection") == Some("close") {
            match request.server_name {
                None => self.clear = None,
                Some(name) => drop(self.secure.remove(name)),
            }
        }
        answer
    }
}

fn question(request: &Request, port: u16) -> Question {
    let (scheme, server_name) = match request.server_name {
        None => ("http", None),
        Some(name) => ("https", Some(name.to_owned())),
    };
    // The host is that of the header.
    let url = format!("{scheme}://any.test:{port}{}", request.target);
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_str(request.host).expect("a host"));
    for (name, value) in &request.headers {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    Question {
        method: request.method.parse().expect("a method"),
        url: url.parse().expect("a URL"),
        headers,
        server_name,
    }
}

fn agree(explanation: &Explanation, answer: &Answer) -> Result<(), String> {
    let [port] = explanation.ports.as_slice() else {
        return Err("not one port".to_owned());
    };
    match &port.outcome {
        Outcome::Refused { refused, .. } => same("status", refused.status, answer.status),
        Outcome::Answered { answer: own, .. } => same_answer(own, answer),
        Outcome::Routed { choice, shares, .. } => {
            let rule = format!(
                "{}-{}",
                choice.rule.id.route.object.name, choice.rule.id.index
            );
            let fates = shares.iter().filter_map(|share| {
                let backend = choice.rule.backends.get(share.index)?;
                Some((backend, share.fate.as_ref()?))
            });
            let mut reasons = Vec::new();
            for (backend, fate) in fates {
                let agreed = match fate {
                    Fate::Refused(refused) => same("status", refused.status, answer.status),
                    Fate::Answered(own) => same_answer(own, answer),
                    Fate::Sent { target, host } => {
                        let pod = answer.header("x-pod").unwrap_or_default();
                        same("status", 200, answer.status)
                            .and_then(|()| same("body", &format!("{target}\n{host}"), &answer.body))
                            .and_then(|()| {
                                same("rule", Some(rule.as_str()), answer.header("x-rule"))
                            })
                            .and_then(|()| {
                                let named = format!("{:?}", backend.target);
                                let is_it = named.contains(&format!("\"{pod}\""));
                                is_it.then_some(()).ok_or(format!("{pod} is not the pod"))
                            })
                    }
                };
                match agreed {
                    Ok(()) => return Ok(()),
                    Err(reason) => reasons.push(reason),
                }
            }
            Err(reasons.join("; "))
        }
        Outcome::Alert | Outcome::Closed | Outcome::Connected { .. } => {
            Err("not a request".to_owned())
        }
    }
}

fn same_answer(own: &Explained, answer: &Answer) -> Result<(), String> {
    same("status", own.status, answer.status)?;
    for (name, value) in &own.headers {
        let value = value.to_ascii_lowercase();
        same(name, Some(value.as_str()), answer.header(name))?;
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, explained: T, served: T) -> Result<(), String> {
    if explained == served {
        return Ok(());
    }
    Err(format!(
        "{what}: explained {explained:?}, served {served:?}"
    ))
}
