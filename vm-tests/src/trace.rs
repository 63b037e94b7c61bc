//! What a process may leave on a node: programs, pins, routes and rules.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::lan::NIC;
use crate::netlink::{self, XdpProgram};
use crate::{Host, bpf};

/// How long the kernel may keep a program that nobody holds any more (an RCU grace period on a busy machine).
const GRACE: Duration = Duration::from_secs(2);

/// What there is at one moment, to be compared with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Routes of all tables, and rules.
    pub routing: Vec<String>,
    /// The XDP program of the interface.
    pub xdp: XdpProgram,
    /// How many programs are at tc ingress and egress of the interface.
    pub tcx: [u32; 2],
    /// How many programs look up sockets in the namespace.
    pub sk_lookup: u32,
    /// The place for pins, if it exists.
    pub bpf_root: Option<PathBuf>,
}

impl Trace {
    /// Looks at a node.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn of(node: &Host, bpf_root: &Path) -> anyhow::Result<Self> {
        let namespace = u32::try_from(node.namespace.fd())?;
        let root = bpf_root.to_owned();
        node.namespace.run(move || async move {
            let index = netlink::index(NIC).await?;
            Ok(Self {
                routing: netlink::routing().await?,
                xdp: netlink::xdp_program(NIC).await?,
                tcx: [
                    bpf::count_programs(bpf::Hook::TcxIngress, index)?,
                    bpf::count_programs(bpf::Hook::TcxEgress, index)?,
                ],
                sk_lookup: bpf::count_programs(bpf::Hook::SkLookup, namespace)?,
                bpf_root: root.exists().then_some(root),
            })
        })
    }

    /// Fails unless a node looks like this, soon: the kernel lets go of a program some time after its last pin.
    ///
    /// # Errors
    /// When it does not, with both.
    pub fn expect_on(&self, node: &Host, bpf_root: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + GRACE;
        loop {
            let now = Self::of(node, bpf_root)?;
            if now == *self {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "before: {self:#?}\nnow: {now:#?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
