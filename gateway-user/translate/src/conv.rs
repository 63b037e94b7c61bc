//! From the API's types to our own: the only files that touch generated types.
//!
//! Defaults of the API are filled in here, so that a file and an API server mean the same.

pub(crate) mod announce;
pub(crate) mod backend_tls;
pub(crate) mod certificates;
pub(crate) mod class;
pub(crate) mod config;
pub(crate) mod filter;
pub(crate) mod form;
pub(crate) mod gateway;
pub(crate) mod grant;
pub(crate) mod grpc_route;
pub(crate) mod http_route;
pub(crate) mod l4_route;
pub(crate) mod listener;
pub(crate) mod matching;
pub(crate) mod meta;
pub(crate) mod policy;
pub(crate) mod proxy;
pub(crate) mod reference;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod session_keys;
pub(crate) mod syntax;
pub(crate) mod tls_route;
