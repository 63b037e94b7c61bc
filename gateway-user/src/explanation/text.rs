//! An explanation for people.

use std::fmt::Display;

use gateway_ir::{
    AuthProtocol, Backend, BackendProtocol, ClientValidationMode, Filter, HeaderEdits,
    PathModifier, PortProtocol, Retry, SessionCarrier, SessionPersistence, Target, WeightedBackend,
};
use gateway_l7::{
    Answer, Candidate, Choice, Ending, Explanation, Fate, Handshake, Limits, Lost, Outcome,
    PortExplanation, Refused, Share,
};
use http::{HeaderName, HeaderValue};

use super::question::{Asked, Detail};

/// Where the text of a line begins.
const COLUMN: usize = 14;

/// Writes an explanation.
pub(crate) fn draw(asked: &Asked, explanation: &Explanation) -> String {
    let mut page = Page(format!("{} {}\n", asked.method, asked.url));
    if explanation.ports.is_empty() {
        page.0.push_str("\nnothing is served there; ");
        page.0.push_str(&served(&explanation.others));
    }
    for port in &explanation.ports {
        draw_port(&mut page, port, asked.detail);
    }
    page.0
}

/// Lines under labels.
struct Page(String);

impl Page {
    /// Writes lines, the first one beside the label.
    fn lines(&mut self, label: &str, lines: impl IntoIterator<Item = impl Display>) {
        let mut label = label;
        for line in lines {
            self.0.push_str(&format!("  {label:COLUMN$}{line}\n"));
            label = "";
        }
    }

    fn line(&mut self, label: &str, line: impl Display) {
        self.lines(label, [line]);
    }
}

fn served(others: &[(u16, PortProtocol)]) -> String {
    let others = others.iter().map(|(port, protocol)| match protocol {
        PortProtocol::Http => format!("http on port {port}"),
        PortProtocol::Tls => format!("https on port {port}"),
    });
    let mut others: Vec<String> = others.collect();
    others.dedup();
    if others.is_empty() {
        return "no Gateway has a listener that the proxy serves\n".to_owned();
    }
    format!("there is {}\n", others.join(", "))
}

fn draw_port(page: &mut Page, port: &PortExplanation, detail: Detail) {
    let addresses: Vec<String> = port.addresses.iter().map(ToString::to_string).collect();
    let of = if addresses.is_empty() {
        "every address of the node".to_owned()
    } else {
        addresses.join(", ")
    };
    page.0.push_str(&format!("\nport {} of {of}\n", port.port));
    if let Some(handshake) = &port.handshake {
        page.line("handshake", draw_handshake(handshake));
    }
    if let Some(listener) = &port.listener {
        page.line("listener", listener);
    }
    page.lines("matches", matches(&port.candidates, detail));
    match &port.outcome {
        Outcome::Refused { choice, refused } => {
            if let Some(choice) = choice {
                draw_choice(page, choice);
            }
            page.line("answer", draw_refused(refused));
        }
        Outcome::Alert => page.line("answer", "a TLS alert: no listener covers the server name"),
        Outcome::Closed => page.line("answer", "none: the connection is accepted and closed"),
        Outcome::Answered { choice, answer } => {
            draw_choice(page, choice);
            page.line("answer", draw_answer(answer));
        }
        Outcome::Routed {
            choice,
            shares,
            pinned,
        } => {
            draw_choice(page, choice);
            if let Some(address) = pinned {
                page.line("session", format!("of this request: {address}"));
            }
            page.lines("backends", draw_shares(&choice.rule.backends, shares));
        }
        Outcome::Connected { host, rule } => {
            page.line("rule", format!("{}, for host {host}", rule.id));
            page.lines("backends", connections(&rule.backends));
        }
    }
}

fn draw_handshake(handshake: &Handshake) -> String {
    let name = match &handshake.server_name {
        Some(name) => format!("server name {name}"),
        None => "no server name".to_owned(),
    };
    let listener = match &handshake.listener {
        Some(listener) => format!("listener {listener}"),
        None => "no listener".to_owned(),
    };
    let ending = match handshake.ending {
        Ending::Here => "TLS ends here",
        Ending::Endpoint => "TLS is passed through",
        Ending::Nowhere => "there is no handshake",
    };
    let clients = match handshake.clients {
        None => "",
        Some(ClientValidationMode::AllowValidOnly) => "; clients must show a valid certificate",
        Some(ClientValidationMode::AllowInsecureFallback) => {
            "; clients are asked for a certificate, and any or none will do"
        }
    };
    format!("{name}, {listener}, {ending}{clients}")
}

/// The matches that were asked, in their order; the winner has a star.
fn matches(candidates: &[Candidate], detail: Detail) -> Vec<String> {
    let shown = |candidate: &&Candidate| {
        detail == Detail::Full || candidate.lost.as_ref() != Some(&Lost::Path)
    };
    let mut lines: Vec<String> = candidates
        .iter()
        .filter(shown)
        .map(|candidate| {
            let Candidate {
                host,
                rule,
                match_index,
                lost,
            } = candidate;
            let verdict = match lost {
                None => "* this one".to_owned(),
                Some(lost) => format!("- {lost}"),
            };
            format!("{verdict}: {rule} match {match_index}, host {host}")
        })
        .collect();
    let hidden = candidates.len() - lines.len();
    if hidden > 0 {
        lines.push(format!(
            "- {} (`--all` shows them): {hidden} matches",
            Lost::Path
        ));
    }
    lines
}

fn draw_choice(page: &mut Page, choice: &Choice) {
    let rule = &choice.rule;
    page.line("rule", format!("{}, for host {}", rule.id, choice.host));
    page.lines("filters", rule.filters.iter().map(filter));
    page.line("time", time(&choice.limits));
    page.line("retry", retry(rule.retry.as_ref(), &choice.limits));
    page.lines("session", rule.persistence.iter().map(session));
}

fn time(limits: &Limits) -> String {
    let mut parts = Vec::new();
    match limits.request {
        Some(request) => parts.push(format!("{request:?} for all")),
        None => parts.push("no limit for all".to_owned()),
    }
    parts.extend(
        limits
            .backend_request
            .map(|it| format!("{it:?} for one try")),
    );
    parts.push(format!("{:?} for a connection", limits.connect));
    parts.join(", ")
}

fn retry(retry: Option<&Retry>, limits: &Limits) -> String {
    let connect = format!(
        "after a failed connection up to {} times, at once and elsewhere",
        limits.connect_retries
    );
    let Some(retry) = retry.filter(|_| limits.retries > 0) else {
        return connect;
    };
    let codes = retry.codes.iter().map(|code| code.as_str().to_owned());
    let causes: Vec<String> = codes.chain(["a lost connection".to_owned()]).collect();
    let pause = match retry.backoff {
        Some(pause) => format!("pauses of {pause:?} and more"),
        None => "short pauses".to_owned(),
    };
    let (count, causes) = (limits.retries, causes.join(", "));
    format!("after {causes} up to {count} times, with {pause}; {connect}")
}

fn session(session: &SessionPersistence) -> String {
    let carrier = match &session.carrier {
        SessionCarrier::Cookie { name, path, .. } => format!("cookie {name}, path {path}"),
        SessionCarrier::Header { name } => format!("header {name}"),
    };
    match session.absolute_timeout {
        Some(limit) => format!("{carrier}, for {limit:?}"),
        None => carrier,
    }
}

fn filter(filter: &Filter) -> String {
    match filter {
        Filter::RequestHeaderModifier(it) => format!("RequestHeaderModifier: {}", edits(it)),
        Filter::ResponseHeaderModifier(it) => format!("ResponseHeaderModifier: {}", edits(it)),
        Filter::RequestRedirect(it) => format!("RequestRedirect: {}", it.status.as_u16()),
        Filter::UrlRewrite(it) => {
            let host = it.hostname.iter().map(|host| format!("host {host}"));
            let path = it.path.iter().map(|path| match path {
                PathModifier::ReplaceFullPath(path) => format!("path {path}"),
                PathModifier::ReplacePrefixMatch(prefix) => format!("prefix {prefix}"),
            });
            let parts: Vec<String> = host.chain(path).collect();
            format!("URLRewrite: {}", parts.join(", "))
        }
        Filter::RequestMirror(it) => {
            let share = format!("{} of {}", it.share.numerator, it.share.denominator);
            format!("RequestMirror: {share} to {}", target(&it.target))
        }
        Filter::Cors(it) => format!("CORS: {} origins", it.allow_origins.len()),
        Filter::ExternalAuth(it) => {
            let how = match &it.protocol {
                AuthProtocol::Http { path, .. } => format!("over HTTP below {path}/"),
                AuthProtocol::Grpc { .. } => "over gRPC".to_owned(),
            };
            format!("ExternalAuth: {} is asked {how}", target(&it.target))
        }
    }
}

fn edits(edits: &HeaderEdits) -> String {
    let pair = |verb: &str, (name, value): &(HeaderName, HeaderValue)| {
        format!(
            "{verb} {name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        )
    };
    let remove = edits.remove.iter().map(|name| format!("remove {name}"));
    let set = edits.set.iter().map(|it| pair("set", it));
    let add = edits.add.iter().map(|it| pair("add", it));
    let parts: Vec<String> = remove.chain(set).chain(add).collect();
    parts.join(", ")
}

fn draw_shares(backends: &[WeightedBackend], shares: &[Share]) -> Vec<String> {
    let sum: u64 = backends.iter().map(|it| u64::from(it.weight)).sum();
    let mut lines = Vec::new();
    for share in shares {
        let Some(backend) = backends.get(share.index) else {
            continue;
        };
        let fate = match &share.fate {
            None => "gets nothing".to_owned(),
            Some(Fate::Sent { target, host }) => format!("gets {target} for host {host}"),
            Some(Fate::Answered(answer)) => draw_answer(answer),
            Some(Fate::Refused(refused)) => draw_refused(refused),
        };
        let (weight, name) = (backend.weight, target(&backend.target));
        lines.push(format!("{weight} of {sum}: {name}: {fate}"));
        let filters = backend.filters.iter().map(filter);
        lines.extend(filters.map(|filter| format!("  with {filter}")));
    }
    lines
}

fn connections(backends: &[WeightedBackend]) -> Vec<String> {
    let sum: u64 = backends.iter().map(|it| u64::from(it.weight)).sum();
    let lines = backends.iter().map(|backend| {
        let fate = match &backend.target {
            Target::Backend(it) if !it.endpoints.endpoints.is_empty() => "",
            Target::Backend(_) | Target::Invalid(_) => ": closed after it was accepted",
        };
        format!(
            "{} of {sum}: {}{fate}",
            backend.weight,
            target(&backend.target)
        )
    });
    lines.collect()
}

fn target(target: &Target) -> String {
    match target {
        Target::Backend(backend) => draw_backend(backend),
        Target::Invalid(why) => format!("an invalid backend ({why:?})"),
    }
}

fn draw_backend(backend: &Backend) -> String {
    let protocol = match (backend.protocol, &backend.tls) {
        (BackendProtocol::Http, None) => "HTTP/1.1".to_owned(),
        (BackendProtocol::Http2, None) => "HTTP/2".to_owned(),
        (BackendProtocol::Http, Some(tls)) => format!("TLS for {}", tls.hostname),
        (BackendProtocol::Http2, Some(tls)) => format!("HTTP/2 over TLS for {}", tls.hostname),
    };
    let count = backend.endpoints.endpoints.len();
    let noun = if count == 1 { "endpoint" } else { "endpoints" };
    format!("{} ({protocol}, {count} {noun})", backend.name)
}

fn draw_answer(answer: &Answer) -> String {
    let headers = answer.headers.iter();
    let headers: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let headers = headers.join(", ");
    format!("{} here, {headers}", answer.status)
}

fn draw_refused(refused: &Refused) -> String {
    let Refused {
        status,
        grpc_status,
        reason,
    } = refused;
    match grpc_status {
        Some(grpc) => format!("{status}: {reason} (to gRPC clients: grpc-status {grpc})"),
        None => format!("{status}: {reason}"),
    }
}
