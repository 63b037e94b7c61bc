//! GatewayClasses.

use gateway_ir::ObjectName;

use super::meta::meta;
use crate::kinds::GatewayClass;
use crate::model::{Class, ObjectRef};

pub(crate) fn class(class: &GatewayClass) -> Class {
    Class {
        meta: meta(&class.metadata),
        controller: class.spec.controller_name.clone(),
        parameters: class.spec.parameters_ref.as_ref().map(|it| ObjectRef {
            group: it.group.clone(),
            kind: it.kind.clone(),
            name: ObjectName::new(it.namespace.as_deref().unwrap_or_default(), &*it.name),
        }),
    }
}
