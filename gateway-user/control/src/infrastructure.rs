//! What a Gateway has in its namespace: one Service, which carries `spec.infrastructure`'s labels and annotations.
//!
//! Nothing of Sanmon runs in the namespace of a Gateway. The Service stands for it, for tools that look for
//! what belongs to a Gateway (Gateway API: `GatewayInfrastructure`). It is headless and has no selector: it takes no
//! address, kube-proxy programs nothing for it, and no traffic goes by it.

pub mod service;
pub mod writer;

use std::collections::BTreeMap;

use gateway_ir::ObjectName;
use gateway_translate::{Inputs, Kind, Statuses};

/// What the Service of a Gateway is to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infrastructure {
    /// The Gateway.
    pub gateway: ObjectName,
    /// `spec.infrastructure.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.infrastructure.annotations`.
    pub annotations: BTreeMap<String, String>,
}

/// What every Gateway of ours is to have: those that the translation speaks of.
pub fn wanted(inputs: &Inputs, statuses: &Statuses) -> Vec<Infrastructure> {
    let ours = statuses.iter().map(|it| &it.object);
    let ours = ours.filter(|it| it.kind == Kind::Gateway);
    ours.map(|gateway| {
        let object = inputs.gateways.get(&gateway.name);
        let given = object.and_then(|it| it.spec.infrastructure.as_ref());
        let labels = given.and_then(|it| it.labels.clone());
        let annotations = given.and_then(|it| it.annotations.clone());
        Infrastructure {
            gateway: gateway.name.clone(),
            labels: labels.unwrap_or_default(),
            annotations: annotations.unwrap_or_default(),
        }
    })
    .collect()
}
