//! The time of day, as the API server reads it.

use k8s_openapi::jiff::Timestamp;

/// Now, in seconds: `metav1.Time`.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Now, in microseconds: `metav1.MicroTime`.
pub(crate) fn now_micros() -> String {
    Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        .to_string()
}
