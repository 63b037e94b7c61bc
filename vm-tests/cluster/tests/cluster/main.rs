//! Tests on a whole cluster, each on one of its own that nothing is left of.
//!
//! They need root and the programs that `cargo xtask cluster up` builds, and say that they are skipped without them.

mod bed;
mod conflict;
mod examples;
mod leaving;
mod load;
mod outage;
mod pods;
mod rollout;
