//! The kernel's side: the programs, their links and their maps. The only module that names the BPF library.

mod answers;
mod detach;
mod links;
mod maps;
#[cfg(feature = "log")]
mod packet_log;
mod trial;

use std::io;
use std::path::Path;

use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::{ProgramError, ProgramFd, SchedClassifier, SkLookup, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::libc;

use crate::OpenError;

pub(crate) use answers::AnswerMaps;
pub(crate) use detach::unpin;
pub(crate) use links::Links;
pub(crate) use maps::KernelMaps;
pub use trial::{Program, Trial};

/// The programs, as the build script embedded them; empty where they were not built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sanmon.bpf.o"));

const XDP: &str = "sanmon_xdp";
const XDP_IPV6: &str = "sanmon_xdp_ipv6";
const INGRESS: &str = "sanmon_ingress";
const INGRESS_IPV6: &str = "sanmon_ingress_ipv6";
/// The maps in which the programs of XDP and of tc find their halves for IPv6.
const TO_XDP_IPV6: &str = "XDP_IPV6";
const TO_INGRESS_IPV6: &str = "INGRESS_IPV6";
const EGRESS: &str = "sanmon_egress";
const FLOOR: &str = "sanmon_floor";
const SOCKET: &str = "sanmon_socket";

/// The loaded programs.
#[derive(Debug)]
pub(crate) struct Programs {
    object: Ebpf,
    #[cfg(feature = "log")]
    _log: packet_log::PacketLog,
}

/// Loads the programs on the maps pinned under a directory; maps that are not there are made.
///
/// # Errors
/// When the programs are missing or refused, or the pinned maps have another shape.
pub(crate) fn load(pins: &Path) -> Result<(Programs, KernelMaps, AnswerMaps), OpenError> {
    if OBJECT.is_empty() {
        return Err(OpenError::NoObject);
    }
    maps::check_pins(pins)?;
    let mut object = read(pins)?;
    let maps = KernelMaps::take(&mut object).map_err(refused)?;
    let answers = AnswerMaps::take(&mut object).map_err(refused)?;
    let mut programs = Programs {
        #[cfg(feature = "log")]
        _log: packet_log::PacketLog::start(&mut object),
        object,
    };
    for name in [XDP, XDP_IPV6, FLOOR] {
        programs.xdp(name).and_then(Xdp::load).map_err(refused)?;
    }
    for name in [INGRESS, INGRESS_IPV6, EGRESS] {
        let program = programs.classifier(name);
        program.and_then(SchedClassifier::load).map_err(refused)?;
    }
    programs
        .socket()
        .and_then(SkLookup::load)
        .map_err(refused)?;
    // Their pins are enough; a handle would keep programs in them that nobody finds any more.
    for map in [TO_XDP_IPV6, TO_INGRESS_IPV6] {
        drop(maps::take(&mut programs.object, map).map_err(refused)?);
    }
    programs.join_halves(pins)?;
    Ok((programs, maps, answers))
}

/// Reads the object and makes its maps, on a thread of its own: the loader reads the description of the kernel's types
/// too, 30 MiB that nobody needs any more, and what a thread has freed is given back when it ends.
fn read(pins: &Path) -> Result<Ebpf, OpenError> {
    let read = || {
        let mut loader = EbpfLoader::new();
        for shape in maps::SHAPES {
            loader.map_pin_path(shape.name, pins.join(shape.name));
        }
        loader.load(OBJECT).map_err(refused)
    };
    let read = std::thread::scope(|scope| scope.spawn(read).join());
    read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Programs {
    /// Lets the programs of both ways in find their halves for IPv6. Those of another process, which may still be attached,
    /// find these from then on; in between there is always one.
    ///
    /// The maps stay by their pins alone.
    pub(crate) fn join_halves(&mut self, pins: &Path) -> Result<(), OpenError> {
        let xdp = self
            .xdp(XDP_IPV6)
            .and_then(|half| Ok(half.fd()?.try_clone()?));
        set_half(&pins.join(TO_XDP_IPV6), &xdp.map_err(refused)?)?;
        let ingress = self.classifier(INGRESS_IPV6);
        let ingress = ingress.and_then(|half| Ok(half.fd()?.try_clone()?));
        set_half(&pins.join(TO_INGRESS_IPV6), &ingress.map_err(refused)?)
    }

    fn xdp(&mut self, name: &str) -> Result<&mut Xdp, ProgramError> {
        let program = self.object.program_mut(name);
        program.ok_or(ProgramError::NotLoaded)?.try_into()
    }

    fn classifier(&mut self, name: &str) -> Result<&mut SchedClassifier, ProgramError> {
        let program = self.object.program_mut(name);
        program.ok_or(ProgramError::NotLoaded)?.try_into()
    }

    fn socket(&mut self) -> Result<&mut SkLookup, ProgramError> {
        let program = self.object.program_mut(SOCKET);
        program.ok_or(ProgramError::NotLoaded)?.try_into()
    }
}

fn set_half(pin: &Path, program: &ProgramFd) -> Result<(), OpenError> {
    let map = MapData::from_pin(pin).map_err(refused)?;
    let mut map = ProgramArray::try_from(Map::ProgramArray(map)).map_err(refused)?;
    map.set(0, program, 0).map_err(refused)
}

/// Tells a lack of rights from every other refusal: only the first has a remedy that the user can take.
fn refused(error: impl Into<EbpfError>) -> OpenError {
    let error = error.into();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        let number = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        // Not EACCES: that is the verifier's way to say no.
        if number == Some(libc::EPERM) {
            return OpenError::NoRights(io::Error::from_raw_os_error(libc::EPERM));
        }
        cause = error.source();
    }
    OpenError::Load(Box::new(error))
}
