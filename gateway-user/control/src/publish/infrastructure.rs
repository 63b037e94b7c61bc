//! What every Gateway is to have in its namespace, by the same objects and statuses as the snapshot.

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
pub(super) fn wanted(inputs: &Inputs, statuses: &Statuses) -> Vec<Infrastructure> {
    let ours = statuses.of_kind(Kind::Gateway).map(|it| &it.object);
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
