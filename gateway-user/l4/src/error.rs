//! What can go wrong at the border to the kernel, each with what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the datapath cannot be opened: gates 1 and 2 stay off.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The binary was built without the eBPF programs.
    #[error("this binary holds no eBPF programs; build it with `cargo xtask build`")]
    NoObject,
    /// The kernel refuses BPF to this process.
    #[error(
        "no rights to load BPF programs; run as root or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN"
    )]
    NoRights(#[source] io::Error),
    /// The pins' directory is on no BPF filesystem, and none can be mounted there.
    #[error(
        "{path} is on no BPF filesystem and none can be mounted there; mount one: `mount -t bpf bpf {path}`"
    )]
    NoBpffs {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Another live process uses the same pins.
    #[error("another sanmon (pid {pid}) uses {path}; stop it or choose another --bpf-root")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process.
        pid: u32,
    },
    /// A pinned map has another shape than this release expects.
    #[error("the pinned map {path} has another layout; run `sanmon uninstall` first")]
    ForeignMap {
        /// The pin.
        path: PathBuf,
    },
    /// The verifier or the loader refused the programs.
    #[error("the kernel refused the BPF programs")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file of the lock or of the pins.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a program cannot be attached or detached.
#[derive(Debug, Error)]
pub enum AttachError {
    /// No such interface.
    #[error("interface {interface} does not exist")]
    NoInterface {
        /// Its name, or its index where only that is known.
        interface: String,
    },
    /// Another program holds the hook.
    #[error(
        "another program holds the XDP hook of {interface}; detach it or set `datapath.mode: tc`"
    )]
    Held {
        /// The interface.
        interface: String,
    },
    /// Native XDP was asked for and the driver has none.
    #[error("the driver of {interface} has no native XDP; set `datapath.mode: auto` or `tc`")]
    NoNativeXdp {
        /// The interface.
        interface: String,
    },
    /// Two interfaces need the same entry of the programs' table.
    #[error(
        "interface {interface} and the one of index {other} cannot have programs at the same time"
    )]
    Collision {
        /// The interface.
        interface: String,
        /// The index of the other one.
        other: u32,
    },
    /// The kernel has no tcx.
    #[error("the kernel has no tcx links; Linux 6.6 or newer is needed")]
    NoTcx,
    /// The kernel refused for another reason.
    #[error("cannot attach to {subject}")]
    Kernel {
        /// The interface, or what else was attached to.
        subject: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A pin cannot be written, read or removed.
    #[error("cannot use the pin {path}")]
    Pin {
        /// The pin.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// More workers than the socket map has slots.
    #[error("{given} proxy sockets, but the socket map has {max} slots; use fewer --workers")]
    TooManySockets {
        /// How many were given.
        given: usize,
        /// How many fit.
        max: usize,
    },
}

/// Why a snapshot is not, or not completely, in the kernel.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// More entries than a map holds.
    #[error("{wanted} {what}, but at most {max} fit")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        wanted: usize,
        /// How many fit.
        max: usize,
    },
    /// The kernel refused a write or a read.
    #[error("cannot access the map {map}")]
    Map {
        /// The map.
        map: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A packet could not be tried.
    #[error("cannot run the program on this packet")]
    Trial(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why something could not be removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// A live process still uses the pins.
    #[error("a live sanmon (pid {pid}) uses {path}; stop it first")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process.
        pid: u32,
    },
    /// A file cannot be removed.
    #[error("cannot remove {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
