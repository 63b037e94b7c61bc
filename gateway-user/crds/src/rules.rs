//! What an API server refuses: objects against the schemas of the Gateway API's CRDs and the rules in them. Files have no
//! API server in front, and what they hold is to be as good.

mod cel;
mod defaults;
mod schema;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde_json::Value;

use schema::Schema;

/// What is wrong with an object is said up to so many times.
const VIOLATIONS_MAX: usize = 16;

/// The condensed schemas, by kind; made by `cargo xtask codegen`.
const SCHEMAS: [(&str, &str); 10] = [
    (
        "BackendTLSPolicy",
        include_str!("../schemas/backendtlspolicies.json"),
    ),
    ("GRPCRoute", include_str!("../schemas/grpcroutes.json")),
    ("Gateway", include_str!("../schemas/gateways.json")),
    (
        "GatewayClass",
        include_str!("../schemas/gatewayclasses.json"),
    ),
    ("HTTPRoute", include_str!("../schemas/httproutes.json")),
    ("ListenerSet", include_str!("../schemas/listenersets.json")),
    (
        "ReferenceGrant",
        include_str!("../schemas/referencegrants.json"),
    ),
    ("TCPRoute", include_str!("../schemas/tcproutes.json")),
    ("TLSRoute", include_str!("../schemas/tlsroutes.json")),
    ("UDPRoute", include_str!("../schemas/udproutes.json")),
];

static KINDS: LazyLock<BTreeMap<&str, Schema>> = LazyLock::new(|| {
    let schemas = SCHEMAS.iter().map(|(kind, text)| {
        let schema = serde_json::from_str(text);
        (
            *kind,
            schema.expect("the schemas are part of the program, and a test reads each"),
        )
    });
    schemas.collect()
});

/// Something that an API server refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, as `spec.rules[0].name`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// What an API server would refuse of an object of the Gateway API; nothing for other kinds.
pub fn violations(kind: &str, object: &Value) -> Vec<Violation> {
    let Some(schema) = KINDS.get(kind) else {
        return Vec::new();
    };
    let mut object = object.clone();
    defaults::fill(schema, &mut object);
    let mut violations = Vec::new();
    schema.check("", &object, &mut violations);
    violations.truncate(VIOLATIONS_MAX);
    violations
}

#[cfg(test)]
mod tests;
