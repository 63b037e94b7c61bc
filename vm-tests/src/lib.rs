//! A LAN of network namespaces, with clients, pods and frames on the wire, for tests, the demo and benchmarks.
//!
//! Everything happens in namespaces that are made here and vanish with the values that hold them: no frame leaves the
//! machine, and nothing stays behind. It starts `sanmon` as an operator does and knows nothing of its insides.

pub mod bed;
pub mod bpf;
pub mod capture;
pub mod client;
pub mod deadline;
pub mod dns;
pub mod folder;
pub mod frame;
pub mod impairment;
pub mod lan;
pub mod namespace;
pub mod netlink;
pub mod nodes;
pub mod packet;
pub mod pod;
pub mod relay;
pub mod sanmon;
pub mod trace;
pub mod transit;

pub use capture::Capture;
pub use impairment::Impairment;
pub use lan::{Host, Lan};
pub use namespace::{Namespace, Task};
pub use relay::Relay;
pub use sanmon::Sanmon;

/// Tells whether a test has to be skipped for lack of root, and says so on standard error, past the capture of the
/// test harness, in a line that starts with `skipped:`.
pub fn skips(test: &str) -> bool {
    use std::io::Write;
    if nix::unistd::geteuid().is_root() {
        return false;
    }
    // A closed standard error leaves nobody to tell.
    let _unheard = writeln!(std::io::stderr(), "skipped: {test}: needs root");
    true
}
