//! Values of one form in several types: the generated API has a type of its own for every place of a struct.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a value as another type that has the same form in JSON, the field names and the words of enums included.
pub(crate) fn same_form<T: Serialize, U: DeserializeOwned>(value: &T) -> Result<U, String> {
    serde_json::to_value(value)
        .and_then(serde_json::from_value)
        .map_err(|error| format!("it can not be read: {error}"))
}
