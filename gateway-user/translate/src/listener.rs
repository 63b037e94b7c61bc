//! Gateways of our classes and their listeners while they are translated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use gateway_ir::{Certificate, HostPattern, ListenerId, ObjectName, Vip};

use crate::config::Config;
use crate::conv;
use crate::conv::grant::Grants;
use crate::inputs::Inputs;
use crate::model::{
    ClientValidation, Gateway, Listener, ListenerProtocol, ListenerTls, ObjectRef, Problem, TlsMode,
};
use crate::status::{Kind, Reason};

/// A Gateway of one of our classes.
#[derive(Debug)]
pub(crate) struct GatewayState {
    pub(crate) model: Gateway,
    /// Why it is not accepted as a whole.
    pub(crate) refused: Option<Problem>,
    pub(crate) addresses: Addresses,
    /// Why it lacks an address that it should have.
    pub(crate) unassigned: Option<Problem>,
    pub(crate) listeners: Vec<ListenerState>,
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

/// A listener of such a Gateway.
#[derive(Debug)]
pub(crate) struct ListenerState {
    pub(crate) id: ListenerId,
    pub(crate) model: Listener,
    /// Why it is not accepted, other than by a conflict.
    pub(crate) rejected: Option<Problem>,
    pub(crate) conflict: Option<Problem>,
    /// What its references lead to, if not where they should.
    pub(crate) unresolved: Vec<Problem>,
    pub(crate) supported: Vec<Kind>,
    pub(crate) certificates: Vec<Arc<Certificate>>,
    /// The routes that are attached.
    pub(crate) routes: BTreeSet<(Kind, ObjectName)>,
}

impl GatewayState {
    /// Whether the data planes may run a listener of it.
    pub(crate) fn serves(&self, listener: &ListenerState) -> bool {
        self.refused.is_none() && self.addresses != Addresses::None && listener.is_valid()
    }
}

impl ListenerState {
    /// Whether it is accepted and has what it needs.
    pub(crate) fn is_valid(&self) -> bool {
        let lacks_certificate =
            self.model.protocol == ListenerProtocol::Https && self.certificates.is_empty();
        self.is_accepted() && !lacks_certificate
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.rejected.is_none() && self.conflict.is_none()
    }

    /// Port and hostname of an accepted listener.
    pub(crate) fn place(&self) -> Option<(u16, &HostPattern)> {
        match (&self.model.port, &self.model.hostname) {
            (Ok(port), Ok(hostname)) if self.rejected.is_none() => Some((*port, hostname)),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => None,
        }
    }
}

/// Takes in every Gateway of our classes.
pub(crate) fn gateways(
    inputs: &Inputs,
    config: &Config,
    grants: &Grants,
) -> BTreeMap<ObjectName, GatewayState> {
    let models = inputs
        .gateways
        .iter()
        .map(|(name, it)| (name, conv::gateway::gateway(it)));
    let ours = models.filter_map(|(name, mut model)| {
        let class = config.classes.get(&model.class)?;
        let listeners = std::mem::take(&mut model.listeners);
        let listeners = listeners
            .into_iter()
            .map(|it| listener(it, name, inputs, grants));
        let mut listeners: Vec<ListenerState> = listeners.collect();
        reject_repeated_names(&mut listeners);
        let state = GatewayState {
            refused: class
                .as_ref()
                .map(class_problem)
                .or_else(|| parameters_problem(&model)),
            addresses: Addresses::None,
            unassigned: None,
            listeners,
            model,
        };
        Some((name.clone(), state))
    });
    ours.collect()
}

/// The name is the key of a listener (Gateway API: unique within a Gateway): a second one can not be told apart.
fn reject_repeated_names(listeners: &mut [ListenerState]) {
    let mut seen = BTreeSet::new();
    for listener in listeners {
        if !seen.insert(listener.model.name.clone()) {
            let message = "another listener of the Gateway has this name";
            listener.rejected = Some(Problem::new(Reason::UnsupportedValue, message));
        }
    }
}

fn class_problem(problem: &Problem) -> Problem {
    let message = format!("its GatewayClass is not accepted: {}", problem.message);
    Problem::new(problem.reason, message)
}

fn parameters_problem(gateway: &Gateway) -> Option<Problem> {
    let wanted = gateway.parameters.as_ref()?;
    let message = format!(
        "infrastructure.parametersRef names {} {}, which is not served",
        wanted.kind, wanted.name.name
    );
    Some(Problem::new(Reason::InvalidParameters, message))
}

fn listener(
    model: Listener,
    gateway: &ObjectName,
    inputs: &Inputs,
    grants: &Grants,
) -> ListenerState {
    let own_kind = match model.protocol {
        ListenerProtocol::Http | ListenerProtocol::Https => Some(Kind::HttpRoute),
        ListenerProtocol::Tcp => Some(Kind::TcpRoute),
        ListenerProtocol::Udp => Some(Kind::UdpRoute),
        ListenerProtocol::Unsupported(_) => None,
    };
    let (supported, bad_kinds) = supported_kinds(&model, own_kind);
    let (certificates, bad_certificates) = certificates(&model, gateway, inputs, grants);
    ListenerState {
        id: ListenerId {
            gateway: gateway.clone(),
            section: model.name.clone(),
        },
        rejected: rejected(&model),
        conflict: None,
        unresolved: bad_certificates.into_iter().chain(bad_kinds).collect(),
        supported,
        certificates,
        routes: BTreeSet::new(),
        model,
    }
}

fn rejected(listener: &Listener) -> Option<Problem> {
    if let ListenerProtocol::Unsupported(protocol) = &listener.protocol {
        let message = format!("protocol {protocol} is not served; HTTP, HTTPS, TCP and UDP are");
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
        // To go on without the check would let in clients that the Gateway wants kept out.
        (ListenerProtocol::Https, Some(tls))
            if tls.client_validation == ClientValidation::Wanted =>
        {
            unserved("validation of client certificates is not served")
        }
        (ListenerProtocol::Https, Some(_)) | (_, None) => None,
        (_, Some(_)) => unserved("tls goes with HTTPS only"),
    }
}

/// The kinds that may attach, and a problem if others are asked for.
fn supported_kinds(listener: &Listener, own: Option<Kind>) -> (Vec<Kind>, Option<Problem>) {
    let Some(own) = own else {
        return (Vec::new(), None);
    };
    if listener.kinds.is_empty() {
        return (vec![own], None);
    }
    let is_own = |(group, kind): &&(String, String)| {
        group == conv::reference::GATEWAY_GROUP && kind == own.as_str()
    };
    let (fitting, other): (Vec<_>, Vec<_>) = listener.kinds.iter().partition(is_own);
    let problem = other.first().map(|(group, kind)| {
        let message = format!("routes of kind {kind} of {group:?} can not attach; {own} can");
        Problem::new(Reason::InvalidRouteKinds, message)
    });
    (fitting.first().map(|_| own).into_iter().collect(), problem)
}

/// The key pairs of an HTTPS listener; one that is bad leaves the others in force.
fn certificates(
    listener: &Listener,
    gateway: &ObjectName,
    inputs: &Inputs,
    grants: &Grants,
) -> (Vec<Arc<Certificate>>, Vec<Problem>) {
    let (ListenerProtocol::Https, Some(ListenerTls { certificates, .. })) =
        (&listener.protocol, &listener.tls)
    else {
        return (Vec::new(), Vec::new());
    };
    if certificates.is_empty() {
        let problem = Problem::new(Reason::InvalidCertificateRef, "tls has no certificateRefs");
        return (Vec::new(), vec![problem]);
    }
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for reference in certificates {
        match certificate(reference, gateway, inputs, grants) {
            Ok(certificate) => found.push(certificate),
            Err(problem) => problems.push(problem),
        }
    }
    (found, problems)
}

fn certificate(
    reference: &ObjectRef,
    gateway: &ObjectName,
    inputs: &Inputs,
    grants: &Grants,
) -> Result<Arc<Certificate>, Problem> {
    let name = &reference.name;
    let invalid = |message: String| Problem::new(Reason::InvalidCertificateRef, message);
    if !reference.group.is_empty() || reference.kind != "Secret" {
        let kind = &reference.kind;
        return Err(invalid(format!(
            "certificateRef {name} is a {kind}; it must be a Secret"
        )));
    }
    // Before existence: a missing grant must not tell whether the Secret is there.
    if !grants.permit(Kind::Gateway, gateway, reference) {
        let message = format!(
            "no ReferenceGrant lets a Gateway of {} use Secret {name}",
            gateway.namespace
        );
        return Err(Problem::new(Reason::RefNotPermitted, message));
    }
    let secret = inputs.secrets.get(name);
    let secret = secret.ok_or_else(|| invalid(format!("there is no Secret {name}")))?;
    conv::secret::certificate(name, secret).map_err(invalid)
}
