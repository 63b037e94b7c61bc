//! Links: what attaches a program to an interface or a namespace, pinned so that it outlives this process.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{TcAttachOptions, TcError};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::sys::SyscallError;
use nix::errno::Errno;

use super::{EGRESS, INGRESS, Programs, XDP};
use crate::AttachError;
use crate::hook::Hook;

const SOCKET_PIN: &str = "socket";

/// The directory of pinned links.
#[derive(Debug)]
pub(crate) struct Links {
    directory: PathBuf,
}

impl Links {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn pin(&self, role: &str, interface: u32) -> PathBuf {
        self.directory.join(format!("{role}-{interface}"))
    }

    /// Attaches a hook's program and the way back. The other hook's link goes last, so there is no gap between the two.
    pub(crate) fn attach(
        &self,
        programs: &mut Programs,
        interface: (&str, u32),
        hook: Hook,
    ) -> Result<(), AttachError> {
        let (name, index) = interface;
        let error = |source| failure(name, source);
        let (xdp, ingress) = (self.pin("xdp", index), self.pin("ingress", index));
        let egress = programs.classifier(EGRESS).map_err(error)?;
        attach_tc(
            egress,
            name,
            TcAttachType::Egress,
            &self.pin("egress", index),
        )?;
        match hook {
            Hook::Native => {
                attach_xdp(programs.xdp(XDP).map_err(error)?, interface, &xdp)?;
                unpin(&ingress)
            }
            Hook::Tc => {
                let program = programs.classifier(INGRESS).map_err(error)?;
                attach_tc(program, name, TcAttachType::Ingress, &ingress)?;
                unpin(&xdp)
            }
        }
    }

    /// Removes an interface's links, and with them its programs.
    pub(crate) fn detach(&self, index: u32) -> Result<(), AttachError> {
        for role in ["xdp", "ingress", "egress"] {
            unpin(&self.pin(role, index))?;
        }
        Ok(())
    }

    /// Attaches the socket program to this thread's network namespace.
    ///
    /// The library cannot replace the program of such a link, but a namespace takes several: for a moment both are
    /// there, on the same maps, and say the same.
    pub(crate) fn attach_socket(&self, programs: &mut Programs) -> Result<(), AttachError> {
        let subject = "the network namespace";
        let error = |source| failure(subject, source);
        let namespace = File::open("/proc/thread-self/ns/net")
            .map_err(|source| error(ProgramError::IOError(source)))?;
        let program = programs.socket().map_err(error)?;
        let id = program.attach(namespace).map_err(error)?;
        let link: FdLink = program.take_link(id).map_err(error)?.into();
        let pin = self.directory.join(SOCKET_PIN);
        unpin(&pin)?;
        pin_link(link, &pin)
    }
}

fn attach_xdp(program: &mut Xdp, interface: (&str, u32), pin: &Path) -> Result<(), AttachError> {
    let (name, index) = interface;
    if let Some(former) = former(pin)
        && let Ok(link) = former.try_into()
        && let Ok(id) = program.attach_to_link(link)
    {
        return forget(program.take_link(id), name);
    }
    // The link of an interface that is gone cannot be updated.
    unpin(pin)?;
    let id = program
        .attach_to_if_index(index, XdpMode::Driver)
        .map_err(|source| failure(name, source))?;
    let link = program
        .take_link(id)
        .map_err(|source| failure(name, source))?;
    let link: FdLink = link.try_into().map_err(|source| other(name, source))?;
    pin_link(link, pin)
}

fn attach_tc(
    program: &mut SchedClassifier,
    name: &str,
    direction: TcAttachType,
    pin: &Path,
) -> Result<(), AttachError> {
    if let Some(former) = former(pin)
        && let Ok(link) = former.try_into()
        && let Ok(id) = program.attach_to_link(link)
    {
        return forget(program.take_link(id), name);
    }
    unpin(pin)?;
    // First at ingress: what is refused must not reach another program. Last at egress would be right for the same
    // reason, but a link that was attached later may always come after.
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program
        .attach_with_options(name, direction, options)
        .map_err(|source| match errno_of(&source) {
            // Older kernels do not know the kind of link.
            Some(Errno::EINVAL) => AttachError::NoTcx,
            _ => failure(name, source),
        })?;
    let link = program
        .take_link(id)
        .map_err(|source| failure(name, source))?;
    let link: FdLink = link.try_into().map_err(|source| other(name, source))?;
    pin_link(link, pin)
}

/// Lets a link go that its pin holds.
fn forget<L>(link: Result<L, ProgramError>, name: &str) -> Result<(), AttachError> {
    link.map(drop).map_err(|source| failure(name, source))
}

/// The link that a former process, or an earlier call, left.
fn former(pin: &Path) -> Option<FdLink> {
    PinnedLink::from_pin(pin).map(FdLink::from).ok()
}

fn pin_link(link: FdLink, pin: &Path) -> Result<(), AttachError> {
    link.pin(pin).map(drop).map_err(|source| AttachError::Pin {
        path: pin.to_owned(),
        source: io::Error::other(source),
    })
}

fn unpin(pin: &Path) -> Result<(), AttachError> {
    super::unpin(pin).map_err(|source| AttachError::Pin {
        path: pin.to_owned(),
        source,
    })
}

fn other(subject: &str, source: LinkError) -> AttachError {
    AttachError::Kernel {
        subject: subject.to_owned(),
        source: Box::new(source),
    }
}

/// Puts the kernel's error number into words that say what to do.
fn failure(subject: &str, source: ProgramError) -> AttachError {
    let interface = subject.to_owned();
    match errno_of(&source) {
        Some(Errno::ENODEV) => AttachError::NoInterface { interface },
        Some(Errno::EBUSY | Errno::EEXIST) => AttachError::Held { interface },
        Some(Errno::EOPNOTSUPP) => AttachError::NoNativeXdp { interface },
        _ => AttachError::Kernel {
            subject: interface,
            source: Box::new(source),
        },
    }
}

fn errno_of(error: &ProgramError) -> Option<Errno> {
    // The library's transparent variants hide the number from the chain of sources.
    if let ProgramError::TcError(TcError::IoError(io)) = error {
        return io.raw_os_error().map(Errno::from_raw);
    }
    if let ProgramError::SyscallError(SyscallError { io_error, .. }) = error {
        return io_error.raw_os_error().map(Errno::from_raw);
    }
    None
}
