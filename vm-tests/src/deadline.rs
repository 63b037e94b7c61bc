//! The deadline of everything that a client waits for.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};

/// Longest time that a step of a client may take.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Gives a step its deadline.
///
/// # Errors
/// When the step fails, or takes too long.
pub async fn bounded<T, E>(
    what: &str,
    step: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T>
where
    anyhow::Error: From<E>,
{
    match tokio::time::timeout(STEP_TIMEOUT, step).await {
        Ok(result) => result
            .map_err(anyhow::Error::from)
            .with_context(|| what.to_owned()),
        Err(_elapsed) => Err(anyhow!("{what}: nothing within {STEP_TIMEOUT:?}")),
    }
}
