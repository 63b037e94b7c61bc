//! Names, ages and labels.

use std::collections::BTreeMap;

use gateway_ir::ObjectName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::inputs::Inputs;
use crate::model::{Meta, Operator, Requirement, Selector};
use crate::object::name_of;

/// The label that every namespace has, by its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

pub(crate) fn meta(metadata: &ObjectMeta) -> Meta {
    Meta {
        name: name_of(metadata),
        generation: metadata.generation.unwrap_or_default(),
        created: metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0.to_string()),
    }
}

/// The labels of a namespace; one without an object has its name alone.
pub(crate) fn namespace_labels(inputs: &Inputs, namespace: &str) -> BTreeMap<String, String> {
    let object = inputs.namespaces.get(&ObjectName::new("", namespace));
    let mut labels = object
        .and_then(|it| it.metadata.labels.clone())
        .unwrap_or_default();
    labels.insert(NAMESPACE_NAME.to_owned(), namespace.to_owned());
    labels
}

pub(crate) fn selector(selector: &LabelSelector) -> Selector {
    let labels = selector.match_labels.iter().flatten();
    let equal = labels.map(|(key, value)| Requirement {
        key: key.clone(),
        operator: Operator::In,
        values: vec![value.clone()],
    });
    let expressions = selector.match_expressions.iter().flatten();
    let expressions = expressions.map(|it| Requirement {
        key: it.key.clone(),
        operator: operator(&it.operator),
        values: it.values.clone().unwrap_or_default(),
    });
    Selector {
        requirements: equal.chain(expressions).collect(),
    }
}

fn operator(name: &str) -> Operator {
    match name {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => Operator::Unknown,
    }
}
