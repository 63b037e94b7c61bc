//! Gateways of our classes and their listeners while they are translated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use gateway_ir::{
    Certificate, ClientValidation, HostPattern, ListenerId, Mac, ObjectName, ProxySettings, Vip,
};

use crate::config::Config;
use crate::conv;
use crate::conv::grant::Grants;
use crate::gateway_config::GatewayConfigs;
use crate::inputs::Inputs;
use crate::listener_set::{self, SetState};
use crate::listener_tls::{self, Terms};
use crate::model::{Gateway, Listener, ListenerProtocol, Problem, TlsMode};
use crate::status::{Kind, Reason};
use crate::validity::Validity;

/// A Gateway of one of our classes.
#[derive(Debug)]
pub(crate) struct GatewayState {
    pub(crate) model: Gateway,
    /// Why it is not accepted as a whole.
    pub(crate) refused: Option<Problem>,
    /// How the proxy serves it.
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) addresses: Addresses,
    /// Why it lacks an address that it should have.
    pub(crate) unassigned: Option<Problem>,
    /// The addresses that it would have had if other machines had not.
    pub(crate) avoided: Vec<(IpAddr, Mac)>,
    /// Its own, in the order of its spec, then those of its ListenerSets by precedence.
    pub(crate) listeners: Vec<ListenerState>,
    /// The ListenerSets that name it, by precedence.
    pub(crate) sets: Vec<SetState>,
    /// What it shows to endpoints, if it is told to.
    pub(crate) client_certificate: Option<Result<Arc<Certificate>, Problem>>,
    /// Its time.
    pub(crate) client_validity: Option<Validity>,
}

/// The addresses of a Gateway.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// None: it is not reachable.
    None,
    /// These of the machine; empty: all of them.
    Local(Vec<IpAddr>),
    /// Announced ones.
    Vips(Vec<Vip>),
}

/// The object that has a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The Gateway itself.
    Gateway,
    /// A ListenerSet.
    Set(ObjectName),
}

/// A listener of such a Gateway.
#[derive(Debug)]
pub(crate) struct ListenerState {
    pub(crate) id: ListenerId,
    pub(crate) owner: Owner,
    pub(crate) model: Listener,
    /// Why it is not accepted, other than by a conflict.
    pub(crate) rejected: Option<Problem>,
    pub(crate) conflict: Option<Problem>,
    /// The listener that its TLS overlaps with, as a remark.
    pub(crate) overlap: Option<Problem>,
    /// What its references lead to, if not where they should.
    pub(crate) unresolved: Vec<Problem>,
    pub(crate) supported: Vec<Kind>,
    pub(crate) certificates: Vec<Arc<Certificate>>,
    /// The times of the certificates.
    pub(crate) validities: Vec<Validity>,
    pub(crate) clients: Option<ClientValidation>,
    /// The routes that are attached.
    pub(crate) routes: BTreeSet<(Kind, ObjectName)>,
}

impl GatewayState {
    /// Whether the data planes may run a listener of it.
    pub(crate) fn serves(&self, listener: &ListenerState) -> bool {
        self.refused.is_none() && self.addresses != Addresses::None && listener.is_valid()
    }

    /// The listeners of one object.
    pub(crate) fn listeners_of(&self, owner: &Owner) -> impl Iterator<Item = &ListenerState> {
        self.listeners.iter().filter(move |it| it.owner == *owner)
    }
}

impl ListenerState {
    /// Whether it is accepted and has what it needs.
    pub(crate) fn is_valid(&self) -> bool {
        let lacks_certificate = self.ends_tls() && self.certificates.is_empty();
        self.is_accepted() && !lacks_certificate
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.rejected.is_none() && self.conflict.is_none()
    }

    /// Whether TLS ends here rather than being passed through.
    pub(crate) fn ends_tls(&self) -> bool {
        let mode = self.model.tls.as_ref().map(|tls| tls.mode);
        match self.model.protocol {
            ListenerProtocol::Https => true,
            ListenerProtocol::Tls => mode == Some(TlsMode::Terminate),
            ListenerProtocol::Http
            | ListenerProtocol::Tcp
            | ListenerProtocol::Udp
            | ListenerProtocol::Unsupported(_) => false,
        }
    }

    /// Port and hostname of an accepted listener.
    pub(crate) fn place(&self) -> Option<(u16, &HostPattern)> {
        match (&self.model.port, &self.model.hostname) {
            (Ok(port), Ok(hostname)) if self.rejected.is_none() => Some((*port, hostname)),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => None,
        }
    }
}

/// Takes in every Gateway of our classes, with the ListenerSets that name it.
pub(crate) fn gateways(
    inputs: &Inputs,
    config: &Config,
    configs: &GatewayConfigs<'_>,
    grants: &Grants,
) -> BTreeMap<ObjectName, GatewayState> {
    let models = inputs
        .gateways
        .iter()
        .map(|(name, it)| (name, conv::gateway::gateway(it)));
    let mut sets = listener_set::by_gateway(inputs);
    let ours = models.filter_map(|(name, mut model)| {
        let class = config.classes.get(&model.class)?;
        let own = std::mem::take(&mut model.listeners);
        let settings = match &class.problem {
            Some(problem) => Err(class_problem(problem)),
            None => configs.settings(&model, &class.proxy),
        };
        let shown = listener_tls::client_certificate(&model, inputs, grants);
        let shown_ok = shown.as_ref().and_then(|it| it.as_ref().ok());
        let mut state = GatewayState {
            client_validity: shown_ok.and_then(|it| Validity::of(it)),
            refused: settings.as_ref().err().cloned(),
            settings: settings.unwrap_or_default(),
            addresses: Addresses::None,
            unassigned: None,
            avoided: Vec::new(),
            listeners: Vec::new(),
            sets: Vec::new(),
            client_certificate: shown,
            model,
        };
        let site = Site { inputs, grants };
        site.add(&mut state, Owner::Gateway, own);
        for set in sets.remove(name).unwrap_or_default() {
            let problem = state.refused.as_ref();
            let (set, listeners) = listener_set::attach(set, &state.model, problem, inputs);
            if set.refused.is_none() {
                let owner = Owner::Set(set.meta.name.clone());
                site.add(&mut state, owner, listeners);
            }
            state.sets.push(set);
        }
        Some((name.clone(), state))
    });
    ours.collect()
}

/// Where listeners look up what they refer to.
#[derive(Clone, Copy)]
struct Site<'a> {
    inputs: &'a Inputs,
    grants: &'a Grants,
}

impl Site<'_> {
    fn add(self, gateway: &mut GatewayState, owner: Owner, listeners: Vec<Listener>) {
        let listeners = listeners
            .into_iter()
            .map(|it| self.listener(it, &owner, &gateway.model));
        let mut listeners: Vec<ListenerState> = listeners.collect();
        reject_repeated_names(&mut listeners);
        gateway.listeners.append(&mut listeners);
    }

    fn listener(self, model: Listener, owner: &Owner, gateway: &Gateway) -> ListenerState {
        let name = &gateway.meta.name;
        let terms = Terms {
            inputs: self.inputs,
            grants: self.grants,
            kind: match owner {
                Owner::Gateway => Kind::Gateway,
                Owner::Set(_) => Kind::ListenerSet,
            },
            owner: match owner {
                Owner::Gateway => name,
                Owner::Set(set) => set,
            },
            gateway: name,
        };
        let (supported, bad_kinds) = supported_kinds(&model);
        let (certificates, bad_certificates) = terms.certificates(&model);
        let (clients, bad_authorities) = terms.clients(&model, &gateway.clients);
        ListenerState {
            id: ListenerId {
                gateway: name.clone(),
                section: match owner {
                    Owner::Gateway => model.name.clone(),
                    // A slash is in no name, so that this is no listener of the Gateway itself.
                    Owner::Set(set) => format!("{set}/{}", model.name),
                },
            },
            owner: owner.clone(),
            rejected: rejected(&model).or_else(|| clients.as_ref().err().cloned()),
            conflict: None,
            overlap: None,
            unresolved: bad_certificates
                .into_iter()
                .chain(bad_authorities)
                .chain(bad_kinds)
                .collect(),
            supported,
            validities: Validity::of_all(&certificates),
            certificates,
            clients: clients.unwrap_or_default(),
            routes: BTreeSet::new(),
            model,
        }
    }
}

/// The name is the key of a listener (Gateway API: unique within a Gateway): a second one can not be told apart.
fn reject_repeated_names(listeners: &mut [ListenerState]) {
    let mut seen = BTreeSet::new();
    for listener in listeners {
        if !seen.insert(listener.model.name.clone()) {
            let message = "another listener of the same object has this name";
            listener.rejected = Some(Problem::new(Reason::UnsupportedValue, message));
        }
    }
}

fn class_problem(problem: &Problem) -> Problem {
    let message = format!("its GatewayClass is not accepted: {}", problem.message);
    Problem::new(problem.reason, message)
}

fn rejected(listener: &Listener) -> Option<Problem> {
    if let ListenerProtocol::Unsupported(protocol) = &listener.protocol {
        let message =
            format!("protocol {protocol} is not served; HTTP, HTTPS, TLS, TCP and UDP are");
        return Some(Problem::new(Reason::UnsupportedProtocol, message));
    }
    let wrong = |message: &String| Problem::new(Reason::UnsupportedValue, message.clone());
    if let Err(message) = &listener.port {
        return Some(wrong(message));
    }
    if let Err(message) = &listener.hostname {
        return Some(wrong(message));
    }
    let unserved = |message: &str| Some(Problem::new(Reason::UnsupportedValue, message));
    match (&listener.protocol, &listener.tls) {
        (ListenerProtocol::Https, None) => unserved("an HTTPS listener needs tls"),
        (ListenerProtocol::Https, Some(tls)) if tls.mode == TlsMode::Passthrough => {
            unserved("tls.mode Passthrough does not go with HTTPS")
        }
        (ListenerProtocol::Tls, None) => unserved("a TLS listener needs tls"),
        (ListenerProtocol::Https | ListenerProtocol::Tls, Some(_)) | (_, None) => None,
        (_, Some(_)) => unserved("tls goes with HTTPS and TLS only"),
    }
}

/// The kinds that may attach, and a problem if others are asked for.
fn supported_kinds(listener: &Listener) -> (Vec<Kind>, Option<Problem>) {
    let own: &[Kind] = match listener.protocol {
        ListenerProtocol::Http | ListenerProtocol::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
        ListenerProtocol::Tls => &[Kind::TlsRoute],
        ListenerProtocol::Tcp => &[Kind::TcpRoute],
        ListenerProtocol::Udp => &[Kind::UdpRoute],
        ListenerProtocol::Unsupported(_) => return (Vec::new(), None),
    };
    if listener.kinds.is_empty() {
        return (own.to_vec(), None);
    }
    let is = |own: &Kind, (group, kind): &(String, String)| {
        group == conv::reference::GATEWAY_GROUP && kind == own.as_str()
    };
    let fits = |wanted: &&(String, String)| own.iter().any(|it| is(it, wanted));
    let other = listener.kinds.iter().find(|it| !fits(it));
    let problem = other.map(|(group, kind)| {
        let can = own.iter().map(|it| it.as_str());
        let can = can.collect::<Vec<_>>().join(" and ");
        let message = format!("routes of kind {kind} of {group:?} can not attach; {can} can");
        Problem::new(Reason::InvalidRouteKinds, message)
    });
    let wanted = own
        .iter()
        .filter(|own| listener.kinds.iter().any(|it| is(own, it)));
    (wanted.copied().collect(), problem)
}
