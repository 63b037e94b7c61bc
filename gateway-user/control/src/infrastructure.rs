//! What a Gateway has in its namespace: one Service, which carries `spec.infrastructure`'s labels and annotations.
//!
//! Nothing of Sanmon runs in the namespace of a Gateway. The Service stands for it, for tools that look for
//! what belongs to a Gateway (Gateway API: `GatewayInfrastructure`). It is headless and has no selector: it takes no
//! address, kube-proxy programs nothing for it, and no traffic goes by it.

pub mod service;
pub mod writer;
