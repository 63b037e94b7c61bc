//! The way of a request through one port, step by step.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use gateway_ir::{
    HostPattern, HostProgram, HttpPort, Listener, ListenerId, PortProtocol, ProxySettings, Routing,
    WeightedBackend,
};
use http::request::Parts;
use http::{HeaderValue, header};
use parking_lot::Mutex;

use super::answer::{
    Answer, Candidate, Choice, Ending, Fate, Handshake, Limits, Lost, Outcome, PortExplanation,
    Refused, Share,
};
use crate::exchange::{Admitted, Client, Payload, Plan, Reply, Routed, Then, admit, prepare};
use crate::program::{self, Port, Single, WhyNot};
use crate::random::Random;
use crate::refusal::Refusal;
use crate::request::Target;
use crate::upstream::Policy;

/// The matches of hosts that were asked for before, by the address of the host's program, which the snapshot keeps alive.
#[derive(Debug, Default)]
pub(super) struct Matches(Mutex<HashMap<usize, Arc<Vec<Single>>>>);

impl Matches {
    fn of(&self, program: &Arc<HostProgram>) -> Arc<Vec<Single>> {
        let mut known = self.0.lock();
        let matches = known
            .entry(Arc::as_ptr(program).addr())
            .or_insert_with(|| Arc::new(Single::all(program)));
        Arc::clone(matches)
    }
}

/// A port in the forms that it has in the snapshot and in the program, and a client of it.
pub(super) struct Walk<'a> {
    pub(super) settings: &'a ProxySettings,
    pub(super) matches: &'a Matches,
    pub(super) source: &'a HttpPort,
    pub(super) compiled: &'a Port,
    pub(super) client: Client,
}

impl Walk<'_> {
    /// What happens to a request on the port.
    pub(super) fn port(&self, parts: &Parts) -> PortExplanation {
        let mut explanation = PortExplanation {
            addresses: self.source.addresses.clone(),
            port: self.source.port,
            handshake: None,
            listener: None,
            candidates: Vec::new(),
            outcome: Outcome::Closed,
        };
        if self.source.protocol == PortProtocol::Tls {
            let handshake = self.handshake();
            let ending = handshake.ending;
            explanation.handshake = Some(handshake);
            if let Some((candidates, outcome)) = self.stream() {
                explanation.candidates = candidates;
                explanation.outcome = outcome;
                return explanation;
            }
            if ending == Ending::Nowhere {
                if self.compiled.alerts() {
                    explanation.outcome = Outcome::Alert;
                }
                return explanation;
            }
        }
        match admit(self.compiled, &self.client, parts, self.settings) {
            Err(refusal) => {
                explanation.listener = self.listener(parts);
                explanation.outcome = refuse(None, refusal);
            }
            Ok(admitted) => self.request(&mut explanation, &admitted),
        }
        explanation
    }

    /// The listener that owns the host of a request.
    fn listener(&self, parts: &Parts) -> Option<ListenerId> {
        let target = Target::read(parts, self.settings).ok()?;
        let listener = self.compiled.listener(&target.host)?;
        Some(listener.id.clone())
    }

    fn handshake(&self) -> Handshake {
        let listener = self.owner();
        let name = self.client.server_name.as_deref();
        let compiled = self.compiled.listener_by_sni(name);
        let tls = listener.and_then(|listener| listener.tls.as_ref());
        let clients = tls.and_then(|tls| tls.clients.as_ref());
        Handshake {
            ending: match (listener.map(|it| &it.routing), tls) {
                (None, _) | (Some(Routing::Http(_)), None) => Ending::Nowhere,
                (Some(Routing::Stream(_)), None) => Ending::Endpoint,
                // A certificate that the TLS library does not take is no handshake.
                (Some(_), Some(_)) if compiled.is_none_or(|it| it.tls.is_none()) => Ending::Nowhere,
                (Some(_), Some(_)) => Ending::Here,
            },
            listener: listener.map(|listener| listener.id.clone()),
            clients: clients.map(|clients| clients.mode),
            server_name: self.client.server_name.clone(),
        }
    }

    /// The listener of the server name, in the form of the snapshot.
    fn owner(&self) -> Option<&Listener> {
        let name = self.client.server_name.as_deref();
        let id = &self.compiled.listener_by_sni(name)?.id;
        self.source.listeners.iter().find(|one| one.id == *id)
    }

    /// What the listener does with a connection; nothing if it is one for requests.
    fn stream(&self) -> Option<(Vec<Candidate>, Outcome)> {
        let Routing::Stream(hosts) = &self.owner()?.routing else {
            return None;
        };
        let name = self.client.server_name.as_deref().unwrap_or_default();
        let covering = covering(hosts.iter(), name);
        let candidates = covering.iter().enumerate();
        let candidates = candidates.map(|(rank, (host, program))| Candidate {
            host: HostPattern::clone(host),
            rule: program.id.clone(),
            match_index: 0,
            lost: (rank > 0).then_some(Lost::Precedence),
        });
        let outcome = match covering.first() {
            Some((host, rule)) => Outcome::Connected {
                host: HostPattern::clone(host),
                rule: Arc::clone(rule),
            },
            None => Outcome::Closed,
        };
        Some((candidates.collect(), outcome))
    }

    fn request(&self, explanation: &mut PortExplanation, admitted: &Admitted<'_, '_>) {
        let id = &admitted.listener.id;
        explanation.listener = Some(id.clone());
        let source = self.source.listeners.iter().find(|one| one.id == *id);
        let choice = source.and_then(|source| self.candidates(explanation, source, admitted));
        let routed = admitted.route(&self.client);
        let chosen = choice.as_ref().map(|choice| &choice.rule.id);
        if chosen != routed.as_ref().ok().map(|routed| routed.rule.id()) {
            tracing::error!(
                ?chosen,
                ?routed,
                "the explanation is not what is served: please report this"
            );
        }
        explanation.outcome = match (choice, routed) {
            (Some(choice), Ok(routed)) => self.outcome(choice, routed),
            (None, Ok(_)) => refuse(None, Refusal::NoRoute),
            (choice, Err(refusal)) => refuse(choice, refusal),
        };
    }

    /// Asks every match of the hosts that cover the request's; gives the first that holds.
    fn candidates(
        &self,
        explanation: &mut PortExplanation,
        source: &Listener,
        admitted: &Admitted<'_, '_>,
    ) -> Option<Choice> {
        let Routing::Http(hosts) = &source.routing else {
            return None;
        };
        let view = admitted.view();
        let mut choice = None;
        for (host, program) in covering(hosts.iter(), admitted.host()) {
            let matches = self.matches.of(program);
            for (entry, single) in program.entries().zip(matches.iter()) {
                let lost = match single.why_not(&view) {
                    Some(why) => Some(Lost::from(why)),
                    None if choice.is_some() => Some(Lost::Precedence),
                    None => {
                        choice = Some(Choice {
                            host: host.clone(),
                            rule: Arc::clone(&entry.rule),
                            limits: self.limits(&entry.rule),
                        });
                        None
                    }
                };
                explanation.candidates.push(Candidate {
                    host: host.clone(),
                    rule: entry.rule.id.clone(),
                    match_index: entry.match_index,
                    lost,
                });
            }
        }
        choice
    }

    fn limits(&self, rule: &gateway_ir::Rule) -> Limits {
        let policy = Policy {
            retry: rule.retry.as_ref(),
            ..Policy::default()
        };
        Limits {
            request: rule.timeouts.request,
            backend_request: rule.timeouts.backend_request,
            connect: self.settings.connect_timeout,
            connect_retries: policy.retries(),
            retries: rule.retry.as_ref().map_or(0, |retry| retry.attempts),
        }
    }

    fn outcome(&self, choice: Choice, mut routed: Routed<'_, '_>) -> Outcome {
        match routed.answer() {
            Err(refusal) => return refuse(Some(choice), refusal),
            Ok(Some(plan)) => {
                if let Then::Answer(reply) = plan.then {
                    let answer = answer(&reply);
                    return Outcome::Answered { choice, answer };
                }
            }
            Ok(None) => {}
        }
        let pinned = routed.pin().map(|pin| pin.address);
        // The compiled rule has no shares of weight 0.
        let mut compiled = routed.rule.shares.iter();
        let mut shares = Vec::new();
        for (index, backend) in choice.rule.backends.iter().enumerate() {
            let share = positive(backend).then(|| compiled.next()).flatten();
            let fate = share.map(|share| self.fate(&routed, share));
            shares.push(Share { index, fate });
        }
        if !shares.iter().any(|share| share.fate.is_some()) {
            return refuse(Some(choice), Refusal::NoBackend);
        }
        Outcome::Routed {
            choice,
            shares,
            pinned,
        }
    }

    fn fate(&self, routed: &Routed<'_, '_>, share: &program::Share) -> Fate {
        let Plan { stages, then, .. } = match routed.clone().plan_on(share, None) {
            Err(refusal) => return Fate::Refused(refused(refusal)),
            Ok(plan) => plan,
        };
        let mut forward = match then {
            Then::Answer(reply) => return Fate::Answered(answer(&reply)),
            Then::Forward(forward) => forward,
        };
        let empty = match &share.destination {
            Err(refusal) => return Fate::Refused(refused(*refusal)),
            Ok(destination) => destination.backend.endpoints.endpoints.is_empty(),
        };
        if empty {
            return Fate::Refused(refused(Refusal::NoEndpoint));
        }
        let mut parts = routed.parts().clone();
        let random = Random::new(0);
        prepare(&mut parts.headers, &self.client, self.settings, &random);
        for stage in stages.into_iter().flatten() {
            stage.filters.edit_early(&mut parts.headers);
            stage.filters.edit_request(&mut parts.headers);
        }
        forward.complete(&mut parts, Payload::Absent);
        Fate::Sent {
            target: parts.uri.to_string(),
            host: text(parts.headers.get(header::HOST)),
        }
    }
}

/// What covers a host, the most specific first.
fn covering<'h, T>(
    hosts: impl Iterator<Item = (&'h HostPattern, T)>,
    host: &str,
) -> Vec<(&'h HostPattern, T)> {
    let mut covering: Vec<_> = hosts.filter(|(pattern, _)| pattern.matches(host)).collect();
    covering.sort_by_key(|(pattern, _)| Reverse(pattern.specificity()));
    covering
}

fn positive(backend: &WeightedBackend) -> bool {
    backend.weight > 0
}

fn refuse(choice: Option<Choice>, refusal: Refusal) -> Outcome {
    Outcome::Refused {
        choice,
        refused: refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Refused {
    Refused {
        status: refusal.status().as_u16(),
        grpc_status: refusal.grpc_status().map(|status| status.text()),
        reason: refusal.text().trim_end().to_owned(),
    }
}

fn answer(reply: &Reply) -> Answer {
    let headers = reply.headers.iter();
    Answer {
        status: reply.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), text(Some(value))))
            .collect(),
    }
}

fn text(value: Option<&HeaderValue>) -> String {
    let bytes = value.map(HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

impl From<WhyNot> for Lost {
    fn from(why: WhyNot) -> Self {
        match why {
            WhyNot::Path => Self::Path,
            WhyNot::Method => Self::Method,
            WhyNot::Header(name) => Self::Header(name),
            WhyNot::Query(name) => Self::Query(name),
        }
    }
}
