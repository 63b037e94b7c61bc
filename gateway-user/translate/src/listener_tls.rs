//! What TLS listeners and Gateways refer to: key pairs and authorities.

use std::sync::Arc;

use gateway_ir::{Certificate, ClientValidation, ObjectName};

use crate::authority::{self, Fault, Holder};
use crate::conv;
use crate::conv::grant::Grants;
use crate::inputs::Inputs;
use crate::model::{
    Clients, Gateway, Listener, ListenerProtocol, ListenerTls, ObjectRef, Problem, TlsMode,
};
use crate::status::{Kind, Reason};

/// On whose behalf references are followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) inputs: &'a Inputs,
    pub(crate) grants: &'a Grants,
    /// The object that has the listener, whose grants count for its certificates.
    pub(crate) kind: Kind,
    pub(crate) owner: &'a ObjectName,
    /// The Gateway, whose grants count for what it says itself.
    pub(crate) gateway: &'a ObjectName,
}

impl Terms<'_> {
    /// The key pairs of a listener that ends TLS; one that is bad leaves the others in force.
    pub(crate) fn certificates(self, listener: &Listener) -> (Vec<Arc<Certificate>>, Vec<Problem>) {
        let (
            ListenerProtocol::Https | ListenerProtocol::Tls,
            Some(ListenerTls {
                certificates,
                mode: TlsMode::Terminate,
            }),
        ) = (&listener.protocol, &listener.tls)
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
            match self.certificate(reference, self.kind, self.owner) {
                Ok(certificate) => found.push(certificate),
                Err((Refused::NotPermitted, message)) => {
                    problems.push(Problem::new(Reason::RefNotPermitted, message));
                }
                Err((Refused::Invalid, message)) => {
                    problems.push(Problem::new(Reason::InvalidCertificateRef, message));
                }
            }
        }
        (found, problems)
    }

    fn certificate(
        self,
        reference: &ObjectRef,
        kind: Kind,
        owner: &ObjectName,
    ) -> Result<Arc<Certificate>, (Refused, String)> {
        let name = &reference.name;
        let invalid = |message: String| (Refused::Invalid, message);
        if !reference.group.is_empty() || reference.kind != "Secret" {
            let kind = &reference.kind;
            return Err(invalid(format!(
                "certificateRef {name} is a {kind}; it must be a Secret"
            )));
        }
        // Before existence: a missing grant must not tell whether the Secret is there.
        if !self.grants.permit(kind, owner, reference) {
            let namespace = &owner.namespace;
            let message = format!(
                "no ReferenceGrant lets {kind}s of namespace {namespace} use Secret {name}"
            );
            return Err((Refused::NotPermitted, message));
        }
        let secret = self.inputs.secrets.get(name);
        let secret = secret.ok_or_else(|| invalid(format!("there is no Secret {name}")))?;
        conv::secret::certificate(name, secret).map_err(invalid)
    }

    /// The certificates that clients of an HTTPS listener must show. An authority that is bad leaves the others in
    /// force; without any the listener lets nobody in, so that it is not accepted.
    pub(crate) fn clients(
        self,
        listener: &Listener,
        clients: &Clients,
    ) -> (Result<Option<ClientValidation>, Problem>, Vec<Problem>) {
        let (ListenerProtocol::Https, Ok(port)) = (&listener.protocol, &listener.port) else {
            return (Ok(None), Vec::new());
        };
        let Some(wanted) = clients.on_port(*port) else {
            return (Ok(None), Vec::new());
        };
        let mut roots = Vec::new();
        let mut problems = Vec::new();
        for reference in &wanted.authorities {
            match self.authority(reference) {
                Ok(mut found) => roots.append(&mut found),
                Err(problem) => problems.push(problem),
            }
        }
        if roots.is_empty() {
            let message = "no caCertificateRef for clients leads to a certificate";
            let problem = Problem::new(Reason::NoValidCACertificate, message);
            return (Err(problem), problems);
        }
        let validation = ClientValidation {
            roots,
            mode: wanted.mode,
        };
        (Ok(Some(validation)), problems)
    }

    fn authority(self, reference: &ObjectRef) -> Result<Vec<Vec<u8>>, Problem> {
        let name = &reference.name;
        let is_map = authority::holder(reference, self.inputs) == Some(Holder::ConfigMap);
        if is_map && !self.grants.permit(Kind::Gateway, self.gateway, reference) {
            let message = format!(
                "no ReferenceGrant lets Gateways of namespace {} use ConfigMap {name}",
                self.gateway.namespace
            );
            return Err(Problem::new(Reason::RefNotPermitted, message));
        }
        authority::roots(reference, self.inputs).map_err(|(fault, message)| {
            let reason = match fault {
                Fault::Kind => Reason::InvalidCACertificateKind,
                Fault::Content => Reason::InvalidCACertificateRef,
            };
            Problem::new(reason, message)
        })
    }
}

/// Why a reference to a key pair is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    NotPermitted,
    Invalid,
}

/// What a Gateway shows to endpoints; none: it is not told to show anything.
pub(crate) fn client_certificate(
    gateway: &Gateway,
    inputs: &Inputs,
    grants: &Grants,
) -> Option<Result<Arc<Certificate>, Problem>> {
    let reference = gateway.client_certificate.as_ref()?;
    let name = &gateway.meta.name;
    let terms = Terms {
        inputs,
        grants,
        kind: Kind::Gateway,
        owner: name,
        gateway: name,
    };
    let found = terms.certificate(reference, Kind::Gateway, name);
    Some(found.map_err(|(refused, message)| {
        let reason = match refused {
            Refused::NotPermitted => Reason::RefNotPermitted,
            Refused::Invalid => Reason::InvalidClientCertificateRef,
        };
        Problem::new(reason, message)
    }))
}
