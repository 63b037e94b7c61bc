//! A status as the API server has it.

use std::sync::Arc;

use kube::core::ApiResource;
use serde_json::Value;

/// What is known of an object's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where the object lives in the API.
    pub resource: Arc<ApiResource>,
    /// The object's own identity, which one of the same name that comes later does not have.
    pub uid: String,
    /// The version that a write must be based on.
    pub resource_version: String,
    /// `status` as text, which is a tenth of the size of a parsed value.
    status: Box<str>,
}

impl Seen {
    /// Keeps a status; null: there is none.
    pub fn new(
        resource: Arc<ApiResource>,
        uid: String,
        resource_version: String,
        status: &Value,
    ) -> Self {
        Self {
            resource,
            uid,
            resource_version,
            status: status.to_string().into(),
        }
    }

    /// The status.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.status).unwrap_or_default()
    }
}
