//! ReferenceGrants.

use std::sync::Arc;

use gateway_ir::ObjectName;

use crate::inputs::Inputs;
use crate::model::ObjectRef;
use crate::status::Kind;

/// Who may refer across namespaces (Gateway API: `ReferenceGrant`).
#[derive(Debug, Default)]
pub(crate) struct Grants {
    grants: Vec<Grant>,
}

#[derive(Debug)]
struct Grant {
    namespace: Arc<str>,
    /// Group, kind and namespace of those who refer.
    from: Vec<(String, String, String)>,
    /// Group, kind and name of what is referred to; no name: all.
    to: Vec<(String, String, Option<String>)>,
}

impl Grants {
    pub(crate) fn new(inputs: &Inputs) -> Self {
        let grants = inputs.reference_grants.iter().map(|(name, grant)| Grant {
            namespace: Arc::clone(&name.namespace),
            from: grant
                .spec
                .from
                .iter()
                .map(|it| (it.group.clone(), it.kind.clone(), it.namespace.clone()))
                .collect(),
            to: grant
                .spec
                .to
                .iter()
                .map(|it| {
                    let name = it.name.clone().filter(|name| !name.is_empty());
                    (it.group.clone(), it.kind.clone(), name)
                })
                .collect(),
        });
        Self {
            grants: grants.collect(),
        }
    }

    /// Tells whether an object of a kind of the Gateway API may refer to another object.
    pub(crate) fn permit(&self, kind: Kind, from: &ObjectName, to: &ObjectRef) -> bool {
        if from.namespace == to.name.namespace {
            return true;
        }
        self.grants.iter().any(|grant| {
            grant.namespace == to.name.namespace
                && grant.from.iter().any(|(group, from_kind, namespace)| {
                    group == super::reference::GATEWAY_GROUP
                        && from_kind == kind.as_str()
                        && **namespace == *from.namespace
                })
                && grant.to.iter().any(|(group, to_kind, name)| {
                    *group == to.group
                        && *to_kind == to.kind
                        && name.as_ref().is_none_or(|name| **name == *to.name.name)
                })
        })
    }
}

#[cfg(test)]
mod tests;
