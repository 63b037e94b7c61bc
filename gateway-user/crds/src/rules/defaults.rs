//! The defaults of a schema, which rules count on.

use serde_json::Value;

use super::schema::Schema;

/// Takes out what is null, and gives the fields that are not there their defaults, as an API server does before it looks at
/// the rules.
pub(super) fn fill(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            for (name, schema) in &schema.properties {
                let is_missing = !fields.contains_key(name);
                if let (true, Some(default)) = (is_missing, &schema.default) {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(value) = fields.get_mut(name) {
                    fill(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items.iter_mut().for_each(|item| fill(schema, item));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
