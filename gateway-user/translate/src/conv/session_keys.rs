//! The Secret that all nodes seal sessions with.

use gateway_ir::{ObjectName, SessionKeys};

use crate::inputs::Inputs;
use crate::kinds::{SanmonConfig, Secret};

/// As many as the hash that the key is for has.
const KEY_BYTES_MIN: usize = 32;

/// The keys that a SanmonConfig names; nothing if it names none.
///
/// # Errors
/// When what it names is not there, or is too short to be a secret.
pub(crate) fn session_keys(
    config: &SanmonConfig,
    inputs: &Inputs,
) -> Result<Option<SessionKeys>, String> {
    let proxy = config.spec.proxy.as_ref();
    let Some(reference) = proxy.and_then(|proxy| proxy.session_key_ref.as_ref()) else {
        return Ok(None);
    };
    let name = ObjectName::new(&*reference.namespace, &*reference.name);
    let refused = |message: String| format!("proxy.sessionKeyRef: {message}");
    let secret = inputs.secrets.get(&name);
    let secret = secret.ok_or_else(|| refused(format!("there is no Secret {name}")))?;
    let current = field(secret, "key").map_err(|why| refused(format!("Secret {name} {why}")))?;
    let current = current.ok_or_else(|| refused(format!("Secret {name} has no field key")))?;
    let previous = field(secret, "previous");
    let previous = previous.map_err(|why| refused(format!("Secret {name} {why}")))?;
    Ok(Some(SessionKeys { current, previous }))
}

fn field(secret: &Secret, name: &str) -> Result<Option<Vec<u8>>, String> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(name));
    match bytes {
        Some(bytes) if bytes.0.len() < KEY_BYTES_MIN => Err(format!(
            "has {} bytes in field {name}; a key has at least {KEY_BYTES_MIN}",
            bytes.0.len()
        )),
        Some(bytes) => Ok(Some(bytes.0.clone())),
        None => Ok(None),
    }
}
