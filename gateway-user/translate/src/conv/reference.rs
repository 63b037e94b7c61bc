//! References: every kind of the generated API has its own copy of the same fields, so one macro reads them all.

use std::sync::Arc;

use gateway_ir::ObjectName;

use crate::model::{BackendRef, ObjectRef};
use crate::status::ParentReference;

/// The group of the Gateway API.
pub(crate) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// The largest weight that the API takes.
const WEIGHT_MAX: i32 = 1_000_000;

/// Reads a parentRef of any route kind (Gateway API: `ParentReference`).
macro_rules! parent_ref {
    ($parent:expr, $namespace:expr) => {
        $crate::conv::reference::parent(
            $parent.group.as_deref(),
            $parent.kind.as_deref(),
            $crate::conv::reference::named(&$parent.name, $parent.namespace.as_deref(), $namespace),
            $parent.section_name.as_deref(),
            $parent.port,
        )
    };
}

/// Reads a backendRef of any route kind (Gateway API: `BackendRef`).
macro_rules! backend_ref {
    ($backend:expr, $namespace:expr) => {
        $crate::conv::reference::backend(
            $backend.group.as_deref(),
            $backend.kind.as_deref(),
            $crate::conv::reference::named(
                &$backend.name,
                $backend.namespace.as_deref(),
                $namespace,
            ),
            $backend.port,
            $backend.weight,
        )
    };
}

pub(crate) use {backend_ref, parent_ref};

/// The name of a referent; without a namespace it is in the referrer's.
pub(crate) fn named(name: &str, namespace: Option<&str>, own: &Arc<str>) -> ObjectName {
    let other = namespace.filter(|it| !it.is_empty() && **it != **own);
    ObjectName::new(other.map_or_else(|| Arc::clone(own), Arc::from), name)
}

pub(crate) fn parent(
    group: Option<&str>,
    kind: Option<&str>,
    name: ObjectName,
    section_name: Option<&str>,
    port: Option<i32>,
) -> ParentReference {
    ParentReference {
        group: group.unwrap_or(GATEWAY_GROUP).to_owned(),
        kind: kind.unwrap_or("Gateway").to_owned(),
        name,
        section_name: section_name.map(str::to_owned),
        // A port that is none can match no listener; 0 says the same.
        port: port.map(|port| u16::try_from(port).unwrap_or_default()),
    }
}

pub(crate) fn backend(
    group: Option<&str>,
    kind: Option<&str>,
    name: ObjectName,
    port: Option<i32>,
    weight: Option<i32>,
) -> BackendRef {
    let weight = weight.unwrap_or(1);
    BackendRef {
        target: ObjectRef {
            group: group.unwrap_or_default().to_owned(),
            kind: kind.unwrap_or("Service").to_owned(),
            name,
        },
        port,
        weight: u32::try_from(weight)
            .ok()
            .filter(|_| weight <= WEIGHT_MAX)
            .ok_or_else(|| format!("weight {weight} is not in 0..={WEIGHT_MAX}")),
    }
}
