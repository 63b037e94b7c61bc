//! BackendTLSPolicies: which one a Service's port has, and what became of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_ir::{BackendTls, ObjectName, SubjectName, Trust};

use crate::authority::{self, Fault};
use crate::condition::resolved;
use crate::conv;
use crate::conv::reference::GATEWAY_GROUP;
use crate::inputs::Inputs;
use crate::model::{Authorities, BackendPolicy, Problem};
use crate::status::{
    AncestorStatus, Condition, ConditionStatus, ConditionType, Kind, ObjectStatus, ParentReference,
    Reason,
};
use crate::uses::Uses;

/// The most ancestors that a status may have (the CRD's limit).
const ANCESTORS_MAX: usize = 16;

/// A Service, and one port of it by its name or all.
type Target = (ObjectName, Option<String>);

/// All policies.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    /// The oldest first, which wins.
    policies: Vec<State>,
    /// The position of the one in force.
    by_target: BTreeMap<Target, usize>,
}

#[derive(Debug)]
struct State {
    model: BackendPolicy,
    tls: Result<Arc<BackendTls>, Problem>,
    unresolved: Vec<Problem>,
}

impl Policies {
    pub(crate) fn new(inputs: &Inputs) -> Self {
        let models = inputs.backend_tls_policies.values();
        let mut models: Vec<_> = models.map(|it| conv::backend_tls::policy(it)).collect();
        models.sort_by(|a, b| a.meta.age().cmp(&b.meta.age()));
        let mut policies = Self::default();
        for (index, model) in models.into_iter().enumerate() {
            for target in targets(&model) {
                policies.by_target.entry(target).or_insert(index);
            }
            let mut unresolved = Vec::new();
            let tls = compile(&model, inputs, &mut unresolved).map(Arc::new);
            policies.policies.push(State {
                model,
                tls,
                unresolved,
            });
        }
        policies
    }

    /// The TLS of a Service's port; none: no policy is for it. An invalid policy is no reason for clear text.
    pub(crate) fn find(&self, service: &ObjectName, port: &str) -> Option<Option<Arc<BackendTls>>> {
        let own = (service.clone(), Some(port.to_owned()));
        let index = self.by_target.get(&own);
        let index = index.or_else(|| self.by_target.get(&(service.clone(), None)))?;
        let state = self.policies.get(*index)?;
        Some(state.tls.as_ref().ok().map(Arc::clone))
    }

    /// What became of each policy, by the Gateways whose routes lead to its Services.
    pub(crate) fn statuses(&self, uses: &Uses) -> Vec<ObjectStatus> {
        let states = self.policies.iter().enumerate();
        let statuses = states.map(|(index, state)| {
            let meta = &state.model.meta;
            let mut by_gateway: BTreeMap<&ObjectName, Vec<Target>> = BTreeMap::new();
            for target in targets(&state.model) {
                for gateway in uses.gateways(&target.0) {
                    by_gateway.entry(gateway).or_default().push(target.clone());
                }
            }
            let ancestors = by_gateway.into_iter().take(ANCESTORS_MAX);
            ObjectStatus {
                ancestors: ancestors
                    .map(|(gateway, targets)| self.ancestor(index, state, gateway, &targets))
                    .collect(),
                ..ObjectStatus::new(Kind::BackendTlsPolicy, &meta.name, meta.generation)
            }
        });
        statuses.collect()
    }

    fn ancestor(
        &self,
        index: usize,
        state: &State,
        gateway: &ObjectName,
        targets: &[Target],
    ) -> AncestorStatus {
        let lost: Vec<String> = targets
            .iter()
            .filter_map(|target| {
                let winner = self.by_target.get(target).filter(|it| **it != index)?;
                let winner = &self.policies.get(*winner)?.model.meta.name;
                Some(format!("{} has policy {winner}, which is older", target.0))
            })
            .collect();
        let accepted = match &state.tls {
            _ if lost.len() == targets.len() => Err(Problem::new(
                Reason::Conflicted,
                format!("Service {}", lost.join("; Service ")),
            )),
            Ok(_) => Ok(lost.join("; ")),
            Err(problem) => Err(problem.clone()),
        };
        let kind = ConditionType::Accepted;
        let accepted = match accepted {
            Ok(message) => Condition::new(kind, ConditionStatus::True, Reason::Accepted, message),
            Err(Problem { reason, message }) => {
                Condition::new(kind, ConditionStatus::False, reason, message)
            }
        };
        AncestorStatus {
            ancestor_ref: ParentReference {
                group: GATEWAY_GROUP.to_owned(),
                kind: Kind::Gateway.as_str().to_owned(),
                name: gateway.clone(),
                section_name: None,
                port: None,
            },
            conditions: vec![accepted, resolved(&state.unresolved)],
        }
    }
}

fn targets(model: &BackendPolicy) -> BTreeSet<Target> {
    let services = model.targets.iter().filter(|it| it.target.is_service());
    services
        .map(|it| (it.target.name.clone(), it.section.clone()))
        .collect()
}

fn compile(
    model: &BackendPolicy,
    inputs: &Inputs,
    unresolved: &mut Vec<Problem>,
) -> Result<BackendTls, Problem> {
    let invalid = |message: &String| Problem::new(Reason::Invalid, message.clone());
    let names = model.names.iter().map(|it| it.as_ref().map_err(invalid));
    let names = names.map(|it| it.cloned());
    let names: Vec<SubjectName> = names.collect::<Result<_, _>>()?;
    let hostname = model.hostname.as_ref().map_err(invalid)?.clone();
    let trust = match model.authorities.as_ref().map_err(invalid)? {
        Authorities::System => Trust::System,
        Authorities::References(references) => {
            let mut roots = Vec::new();
            for reference in references {
                match authority::roots(reference, inputs) {
                    Ok(mut found) => roots.append(&mut found),
                    Err((fault, message)) => {
                        let reason = match fault {
                            Fault::Kind => Reason::InvalidKind,
                            Fault::Content => Reason::InvalidCACertificateRef,
                        };
                        unresolved.push(Problem::new(reason, message));
                    }
                }
            }
            if roots.is_empty() {
                let message = "no caCertificateRef leads to a certificate";
                return Err(Problem::new(Reason::NoValidCACertificate, message));
            }
            Trust::Roots(roots)
        }
    };
    Ok(BackendTls {
        hostname,
        trust,
        names,
        client_certificate: None,
    })
}
