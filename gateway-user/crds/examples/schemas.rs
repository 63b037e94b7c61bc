//! Prints the schemas of CRDs in version v1, a line each, without what nobody checks: what `cargo xtask codegen` writes to `schemas/`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use serde_json::{Map, Value};

/// What is read of a schema.
const KEPT: [&str; 19] = [
    "additionalProperties",
    "default",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-validations",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        println!("{}", schema(&path)?);
    }
    Ok(())
}

fn schema(path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
    let is_v1 = |it: &&Value| it.get("name").is_some_and(|name| name == "v1");
    let version = versions.and_then(|it| it.iter().find(is_v1));
    let schema = version.and_then(|it| it.pointer("/schema/openAPIV3Schema"));
    let mut schema = condensed(schema.ok_or("no schema of v1")?);
    // What is said of objects, and what every object has.
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| name == "spec");
    }
    Ok(serde_json::to_string(&schema)?)
}

fn condensed(schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else {
        return schema.clone();
    };
    let fields = fields
        .iter()
        .filter(|(name, _)| KEPT.contains(&name.as_str()));
    let fields = fields.filter_map(|(name, value)| {
        let value = match name.as_str() {
            "properties" => {
                let properties = value.as_object()?.iter();
                let properties = properties.map(|(name, it)| (name.clone(), condensed(it)));
                Value::Object(properties.collect::<Map<_, _>>())
            }
            "items" => condensed(value),
            // `true` and `false` are about fields that are not known.
            "additionalProperties" => value.is_object().then(|| condensed(value))?,
            // Rules about what an object was before are for an API server only.
            "x-kubernetes-validations" => {
                let rules = value.as_array()?.iter();
                let rules = rules.filter(|it| !it.to_string().contains("oldSelf"));
                Value::Array(rules.cloned().collect())
            }
            _plain => value.clone(),
        };
        Some((name.clone(), value))
    });
    Value::Object(fields.collect())
}
