//! How often and how long a rule tries: timeouts, retries, session persistence.

use std::time::Duration;

use http::{HeaderName, StatusCode};
use serde::{Serialize, Serializer};

/// Gateway API: `HTTPRouteTimeouts`. None, also for `0s`: no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Timeouts {
    /// From the request's arrival to the end of the response, all tries together.
    pub request: Option<Duration>,
    /// One try at one endpoint; not above `request`.
    pub backend_request: Option<Duration>,
}

/// Gateway API: `HTTPRouteRetry`. Failed connects are tried again whatever the codes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Retry {
    /// The statuses that are tried again.
    #[serde(serialize_with = "statuses_as_numbers")]
    pub codes: Vec<StatusCode>,
    /// How many tries there are beside the first; 0: none.
    pub attempts: u32,
    /// The least pause before a try; grows from try to try. None: the proxy's own.
    pub backoff: Option<Duration>,
}

/// Gateway API: `SessionPersistence`: requests of one session go to one endpoint while it serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct SessionPersistence {
    /// What carries the session.
    pub carrier: SessionCarrier,
    /// How long a session lasts at most.
    pub absolute_timeout: Option<Duration>,
}

/// What carries a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum SessionCarrier {
    /// A cookie that the proxy sets.
    Cookie {
        /// Its name.
        name: String,
        /// Its path.
        path: String,
        /// Whether it has an end.
        lifetime: CookieLifetime,
    },
    /// A response header that the client sends back.
    Header {
        /// Its name.
        #[serde(serialize_with = "header_as_text")]
        name: HeaderName,
    },
}

/// Gateway API: `CookieLifetimeType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum CookieLifetime {
    /// Ends with the browser's session.
    #[default]
    Session,
    /// Ends with the absolute timeout.
    Permanent,
}

fn statuses_as_numbers<S: Serializer>(
    codes: &[StatusCode],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(codes.iter().map(StatusCode::as_u16))
}

fn header_as_text<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}
