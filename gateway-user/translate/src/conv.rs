//! From the API's types to our own: the only files that touch generated types.
//!
//! Defaults of the API are filled in here, so that a file and an API server mean the same.

pub(crate) mod class;
pub(crate) mod config;
pub(crate) mod filter;
pub(crate) mod gateway;
pub(crate) mod grant;
pub(crate) mod http_route;
pub(crate) mod l4_route;
pub(crate) mod matching;
pub(crate) mod meta;
pub(crate) mod reference;
pub(crate) mod secret;
pub(crate) mod service;
