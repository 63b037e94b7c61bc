//! The datapath of one node: opened once, then told what changed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use gateway_common::announce::Port;
use gateway_common::limits::SOCKETS_MAX;
use gateway_ir::{DatapathMode, Interface, Mac, NodeName, Snapshot};
use nix::net::if_::if_indextoname;
use nix::sys::socket::{SockaddrStorage, getsockname};
use tracing::{debug, info, warn};

use crate::bpf::{self, KernelMaps, Links, Programs};
use crate::hook::Hook;
use crate::plan::{State, key_of, plan};
use crate::root::{self, Root};
use crate::stats::ServiceCounters;
use crate::{
    Answers, ApplyError, AttachError, Counters, OpenError, Program, RemoveError, Trial, apply,
    driver,
};

/// Where the datapath lives and whose it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of the pins. Where it is on no BPF filesystem, one is mounted on it.
    pub bpf_root: PathBuf,
    /// This node: endpoints on others are not delivered here.
    pub node: NodeName,
}

/// The programs, links and maps of one node.
///
/// Dropping it changes nothing in the kernel: pinned programs go on forwarding.
#[derive(Debug)]
pub struct Datapath {
    node: NodeName,
    programs: Programs,
    links: Links,
    maps: KernelMaps,
    state: State,
    services: Vec<(gateway_ir::Service, u32)>,
    // Last, so that the lock is released when everything else is closed.
    root: Root,
}

impl Datapath {
    /// Loads the programs and pins their maps under the root; maps of a former process are taken over. What is answered for
    /// comes as a handle of its own.
    ///
    /// # Errors
    /// When the programs cannot run here; the error says what to do.
    pub fn open(settings: &Settings) -> Result<(Self, Answers), OpenError> {
        Self::load(settings, Root::open(&settings.bpf_root)?)
    }

    /// Opens the datapath of a process that shares its lock and touches nothing of it any more but what is answered for.
    ///
    /// # Errors
    /// When the programs cannot run here, or the lock is another one.
    pub fn share(settings: &Settings, lock: OwnedFd) -> Result<(Self, Answers), OpenError> {
        Self::load(settings, Root::share(&settings.bpf_root, lock)?)
    }

    /// The lock, for another process to [`Self::share`]. It holds until all who have it have closed it.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        self.root.shared()
    }

    /// Goes on after another process that shared the lock, and has died, may have changed programs and maps. Interfaces are
    /// to be attached again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn resume(&mut self) -> Result<(), OpenError> {
        self.programs.join_halves(&self.root.maps())?;
        let state = self.maps.read();
        self.state = state.map_err(|source| OpenError::Load(Box::new(source)))?;
        Ok(())
    }

    fn load(settings: &Settings, root: Root) -> Result<(Self, Answers), OpenError> {
        let (programs, maps, answers) = bpf::load(&root.maps())?;
        let state = maps
            .read()
            .map_err(|source| OpenError::Load(Box::new(source)))?;
        info!(root = %settings.bpf_root.display(), services = state.services.len(), "datapath opened");
        let datapath = Self {
            node: settings.node.clone(),
            programs,
            links: Links::new(root.links()),
            maps,
            state,
            services: Vec::new(),
            root,
        };
        Ok((datapath, Answers::new(answers)))
    }

    /// Attaches the programs to an interface, or replaces those of a former process without a gap.
    ///
    /// # Errors
    /// When the interface does not exist, or the mode does not serve there.
    pub fn attach(
        &mut self,
        interface: &Interface,
        mode: DatapathMode,
    ) -> Result<Hook, AttachError> {
        self.introduce(interface)?;
        let named = (interface.name.as_str(), interface.index);
        let software = || driver::is_software(&interface.name);
        let hook = match mode {
            DatapathMode::Native => Hook::Native,
            DatapathMode::Tc => Hook::Tc,
            DatapathMode::Auto if software() => Hook::Tc,
            DatapathMode::Auto => {
                match self.links.attach(&mut self.programs, named, Hook::Native) {
                    Ok(()) => return Ok(Hook::Native),
                    Err(error @ AttachError::NoInterface { .. }) => return Err(error),
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        warn!(
                            interface = interface.name,
                            error, "no native XDP here, using tc"
                        );
                        Hook::Tc
                    }
                }
            }
        };
        self.links.attach(&mut self.programs, named, hook)?;
        info!(interface = interface.name, ?hook, "attached");
        Ok(hook)
    }

    /// Tells the programs an interface's Ethernet address; attaching does so too.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn introduce(&mut self, interface: &Interface) -> Result<(), AttachError> {
        let Mac(mac) = interface.mac;
        let failed = |source| AttachError::Kernel {
            subject: interface.name.clone(),
            source: Box::new(source),
        };
        let holder = self.maps.holder_of_port(interface.index).map_err(failed)?;
        if let Some(holder) = holder
            && if_indextoname(holder).is_ok()
        {
            return Err(AttachError::Collision {
                interface: interface.name.clone(),
                other: holder,
            });
        }
        let port = Port::new(interface.index, mac);
        self.maps.set_port(interface.index, port).map_err(failed)
    }

    /// Detaches an interface's programs, also when the interface is gone.
    ///
    /// # Errors
    /// When a pin cannot be removed.
    pub fn detach(&mut self, index: u32) -> Result<(), AttachError> {
        self.links.detach(index)?;
        self.maps
            .forget_port(index)
            .map_err(|source| AttachError::Kernel {
                subject: format!("interface {index}"),
                source: Box::new(source),
            })
    }

    /// Makes the maps say what the snapshot says.
    ///
    /// # Errors
    /// When it does not fit, or the kernel refuses; what was written is consistent, and the next call goes on from there.
    pub fn apply(&mut self, snapshot: &Snapshot) -> Result<(), ApplyError> {
        let next = plan(snapshot, &self.node, &self.state)?;
        let outcome = apply::apply(&mut self.maps, &mut self.state, &next);
        let id_of = |service: &gateway_ir::Service| {
            let known = self.state.services.get(&key_of(service))?;
            Some((service.clone(), known.id()))
        };
        self.services = snapshot.services.iter().filter_map(id_of).collect();
        debug!(generation = %snapshot.generation(), services = self.services.len(), "applied");
        outcome
    }

    /// Steers the connections of proxied services to these listening sockets, of each family one per worker.
    ///
    /// # Errors
    /// When there are too many, or the kernel refuses.
    pub fn attach_proxy(&mut self, sockets: &[BorrowedFd<'_>]) -> Result<(), AttachError> {
        let subject = || "the proxy's sockets".to_owned();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for socket in sockets {
            let address = getsockname::<SockaddrStorage>(socket.as_raw_fd());
            let address = address.map_err(|errno| AttachError::Kernel {
                subject: subject(),
                source: Box::new(errno),
            })?;
            match address.as_sockaddr_in6() {
                Some(_) => v6.push(*socket),
                None => v4.push(*socket),
            }
        }
        let given = v4.len().max(v6.len());
        if given > SOCKETS_MAX {
            return Err(AttachError::TooManySockets {
                given,
                max: SOCKETS_MAX,
            });
        }
        self.maps
            .set_sockets([&v4, &v6])
            .map_err(|source| AttachError::Kernel {
                subject: subject(),
                source: Box::new(source),
            })?;
        self.links.attach_socket(&mut self.programs)
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn counters(&self) -> Result<Counters, ApplyError> {
        let service = |(service, id): &(gateway_ir::Service, u32)| {
            let traffic = self.maps.traffic(*id)?;
            Ok(ServiceCounters {
                listener: service.listener.clone(),
                vip: service.vip,
                port: service.port,
                protocol: service.protocol,
                packets: traffic.packets,
                bytes: traffic.bytes,
            })
        };
        Ok(Counters {
            reasons: self.maps.reasons()?,
            services: self
                .services
                .iter()
                .map(service)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Runs a program on a copy of a packet, as if loopback had received it; nothing goes to any wire.
    ///
    /// # Errors
    /// When the kernel cannot run it: a packet shorter than an Ethernet header or longer than a page.
    pub fn try_packet(
        &self,
        program: Program,
        frame: &[u8],
        repeat: u32,
    ) -> Result<Trial, ApplyError> {
        self.programs
            .run(program, frame, repeat)
            .map_err(|source| ApplyError::Trial(Box::new(source)))
    }

    /// Detaches everything and removes the pins.
    ///
    /// # Errors
    /// When something stays behind.
    pub fn remove(self) -> Result<(), RemoveError> {
        let Self {
            root,
            programs,
            maps,
            ..
        } = self;
        drop((programs, maps));
        root.remove(bpf::unpin).map(drop)
    }
}

/// Removes what a dead process left under a root and says what it removed.
///
/// # Errors
/// When a live process uses it, or something cannot be removed.
pub fn uninstall(bpf_root: &Path) -> Result<Vec<String>, RemoveError> {
    root::uninstall(bpf_root, bpf::unpin)
}
