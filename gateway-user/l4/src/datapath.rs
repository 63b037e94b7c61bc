//! The datapath of one node: opened once, then told what changed.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_ir::{DatapathMode, Interface, Mac, NodeName, Snapshot};

use crate::{ApplyError, AttachError, Counters, OpenError, RemoveError};

/// Where the datapath lives and whose it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of the pins, on a BPF filesystem.
    pub bpf_root: PathBuf,
    /// This node: endpoints on others are not delivered here.
    pub node: NodeName,
}

/// Which hook an interface's packets go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Native XDP.
    Native,
    /// tcx ingress.
    Tc,
}

/// The programs, links and maps of one node.
#[derive(Debug)]
pub struct Datapath {
    settings: Settings,
}

impl Datapath {
    /// Loads the programs and pins them and their maps under the root; maps of a former process are taken over.
    ///
    /// # Errors
    /// When the programs cannot run here; the error says what to do.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let _ = settings;
        Err(OpenError::NoObject)
    }

    /// Attaches the programs to an interface, or replaces those of a former process without a gap.
    ///
    /// # Errors
    /// When the interface or the mode does not serve.
    pub fn attach(
        &mut self,
        interface: &Interface,
        mode: DatapathMode,
    ) -> Result<Hook, AttachError> {
        let _ = mode;
        Err(AttachError::NoInterface {
            interface: interface.name.clone(),
        })
    }

    /// Detaches an interface's programs, also when the interface is gone.
    ///
    /// # Errors
    /// When a pin cannot be removed.
    pub fn detach(&mut self, index: u32) -> Result<(), AttachError> {
        let _ = index;
        Ok(())
    }

    /// Makes the maps say what the snapshot says.
    ///
    /// # Errors
    /// When it does not fit or the kernel refuses; what was written is consistent, and the next call goes on.
    pub fn apply(&mut self, snapshot: &Snapshot) -> Result<(), ApplyError> {
        let _ = snapshot;
        Ok(())
    }

    /// Steers the packets of proxied services to these sockets, one per worker.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach_proxy(&mut self, sockets: &[BorrowedFd<'_>]) -> Result<(), AttachError> {
        let _ = sockets;
        Ok(())
    }

    /// Answers ARP for an address on an interface until a time of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn answer(
        &mut self,
        address: IpAddr,
        interface: u32,
        mac: Mac,
        until: Duration,
    ) -> Result<(), ApplyError> {
        let _ = (address, interface, mac, until);
        Ok(())
    }

    /// Stops answering.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn silence(&mut self, address: IpAddr, interface: u32) -> Result<(), ApplyError> {
        let _ = (address, interface);
        Ok(())
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn counters(&self) -> Result<Counters, ApplyError> {
        Ok(Counters::default())
    }

    /// Detaches everything and removes the pins.
    ///
    /// # Errors
    /// When something stays behind.
    pub fn remove(self) -> Result<(), RemoveError> {
        uninstall(&self.settings.bpf_root).map(|_removed| ())
    }
}

/// Removes what a dead process left under a root and says what it removed.
///
/// # Errors
/// When a live process uses it, or something cannot be removed.
pub fn uninstall(bpf_root: &Path) -> Result<Vec<String>, RemoveError> {
    let _ = bpf_root;
    Ok(Vec::new())
}
