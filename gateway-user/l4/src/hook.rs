//! Where the programs sit.

/// Which hook an interface's packets go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Native XDP.
    Native,
    /// tcx ingress.
    Tc,
}
