//! What routing reads of a request.

use http::{HeaderMap, Method};

use super::query::Query;

/// What routing reads of a request; borrowed, so that any engine can make one.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) method: &'a Method,
    /// Canonical, see `request::Target`.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Query<'a>,
}
