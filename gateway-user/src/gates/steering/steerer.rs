//! What gate 2's thread does: the datapath, and which interfaces it is attached to. No thread, no channel.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use gateway_control::Published;
use gateway_ir::{DatapathMode, Generation, Interface, Snapshot};
use gateway_l4::{ApplyError, Counters, Datapath};
use tracing::{debug, info, warn};

use super::{Steered, Wanted};
use crate::gates::Leave;
use crate::interfaces::Present;
use crate::links;
use crate::telemetry::chain;

pub(super) struct Steerer {
    datapath: Datapath,
    /// The interfaces that the operator named; empty: the configuration decides.
    named: Vec<String>,
    attached: BTreeMap<u32, Attached>,
    /// What the maps say.
    programmed: Option<Generation>,
}

/// An interface that the programs are attached to.
struct Attached {
    interface: Interface,
    mode: DatapathMode,
}

impl Steerer {
    pub(super) fn new(datapath: Datapath, named: Vec<String>) -> Self {
        Self {
            datapath,
            named,
            attached: BTreeMap::new(),
            programmed: None,
        }
    }

    /// Brings maps and attachments to what is wanted, as far as that goes.
    pub(super) fn follow(&mut self, wanted: Wanted) -> Steered {
        let Wanted {
            published,
            present,
            waiting,
        } = wanted;
        // The guard is in force before an interface is attached, and before a route makes the kernel want to answer.
        let failure = self.apply(&published);
        let notes = self.attach(&published.snapshot, &present);
        let is_attached = |it: &&Interface| self.attached.contains_key(&it.index);
        Steered {
            published,
            programmed: self.programmed,
            failure,
            interfaces: present.up.iter().filter(is_attached).cloned().collect(),
            notes,
            waiting,
        }
    }

    pub(super) fn attach_proxy(&mut self, sockets: &[OwnedFd]) -> anyhow::Result<()> {
        let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        Ok(self.datapath.attach_proxy(&sockets)?)
    }

    /// Goes on where another process may have changed everything.
    pub(super) fn resume(&mut self, sockets: &[OwnedFd]) -> anyhow::Result<()> {
        self.attached.clear();
        self.programmed = None;
        // First, as connections are refused while nobody takes them.
        self.attach_proxy(sockets)?;
        Ok(self.datapath.resume()?)
    }

    pub(super) fn counters(&self) -> Result<Counters, ApplyError> {
        self.datapath.counters()
    }

    pub(super) fn lock(&self) -> io::Result<OwnedFd> {
        self.datapath.lock()
    }

    pub(super) fn end(self, leave: Leave) {
        match leave {
            Leave::Pins => {}
            Leave::Nothing => {
                if let Err(error) = self.datapath.remove() {
                    warn!(
                        error = chain(&error),
                        "something of the datapath stays behind"
                    );
                }
            }
        }
    }

    /// Makes the maps say what the snapshot says, if they do not yet; gives what went wrong.
    fn apply(&mut self, published: &Published) -> Option<String> {
        if self.programmed == Some(published.generation) {
            return None;
        }
        match self.datapath.apply(&published.snapshot) {
            Ok(()) => {
                self.programmed = Some(published.generation);
                None
            }
            Err(error) => Some(chain(&error)),
        }
    }

    /// Attaches to the interfaces that are wanted, detaches from the others; gives what does not work. One that is down
    /// keeps its programs: when it comes up the guard is there already.
    fn attach(&mut self, snapshot: &Snapshot, present: &Present) -> BTreeSet<String> {
        let choice = links::choose(&self.named, snapshot, present);
        let is_down = |name: &&String| present.down.iter().any(|it| it.name == **name);
        let down = choice.interfaces.iter().map(|it| &it.name).filter(is_down);
        let down =
            down.map(|name| format!("interface {name} is down; it is used as soon as it is up"));
        let missing = choice.missing.iter();
        let missing = missing
            .map(|name| format!("interface {name} is not there; it is used as soon as it is"));
        let mut notes: BTreeSet<_> = missing.chain(down).collect();
        let wanted: BTreeSet<_> = choice.interfaces.iter().map(|it| it.index).collect();
        for (index, gone) in self
            .attached
            .extract_if(.., |index, _| !wanted.contains(index))
        {
            info!(interface = gone.interface.name, "detached");
            if let Err(error) = self.datapath.detach(index) {
                debug!(error = chain(&error), "detached with difficulty");
            }
        }
        let mode = snapshot.datapath.mode;
        for interface in choice.interfaces {
            let last = self.attached.get(&interface.index);
            if last.is_some_and(|last| last.interface == interface && last.mode == mode) {
                continue;
            }
            match self.datapath.attach(&interface, mode) {
                Ok(_hook) => {
                    let attached = Attached { mode, interface };
                    self.attached.insert(attached.interface.index, attached);
                }
                Err(error) => {
                    self.attached.remove(&interface.index);
                    notes.insert(format!("{}: {}", interface.name, chain(&error)));
                }
            }
        }
        notes
    }
}
