//! The multicast groups that solicitations for IPv6 VIPs are sent to: without them the network card and the switch
//! filter the question out before any program sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv6Addr;

use gateway_announce::ndp::solicited_node_group;
use socket2::{Domain, Socket, Type};

/// A group on an interface.
type Seat = (u32, Ipv6Addr);

/// The groups that this process is in. They end with it.
#[derive(Debug)]
pub(super) struct Groups {
    /// None: this kernel has no IPv6.
    socket: Option<Socket>,
    /// The VIPs that need each group: those with the same last 24 bits share one.
    members: BTreeMap<Seat, BTreeSet<Ipv6Addr>>,
    /// Where joining failed: it is tried again, but said once.
    failed: BTreeSet<Seat>,
}

impl Groups {
    pub(super) fn open() -> Self {
        Self {
            socket: Socket::new(Domain::IPV6, Type::DGRAM, None).ok(),
            members: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }

    /// Joins a VIP's group on an interface, unless this was done already.
    ///
    /// # Errors
    /// The first time that it fails on an interface.
    pub(super) fn join(&mut self, interface: u32, vip: Ipv6Addr) -> io::Result<()> {
        let seat = (interface, solicited_node_group(vip));
        if let Some(vips) = self.members.get_mut(&seat) {
            vips.insert(vip);
            return Ok(());
        }
        let joined = match &self.socket {
            Some(socket) => socket.join_multicast_v6(&seat.1, interface),
            None => Err(io::Error::from(io::ErrorKind::Unsupported)),
        };
        match joined {
            Ok(()) => {
                self.failed.remove(&seat);
                self.members.insert(seat, BTreeSet::from([vip]));
                Ok(())
            }
            Err(error) if self.failed.insert(seat) => Err(error),
            Err(_known) => Ok(()),
        }
    }

    /// Leaves a VIP's group on an interface when no other VIP needs it. The kernel has forgotten those of an interface
    /// that is gone.
    pub(super) fn leave(&mut self, interface: u32, vip: Ipv6Addr) {
        let seat = (interface, solicited_node_group(vip));
        self.failed.remove(&seat);
        let Some(vips) = self.members.get_mut(&seat) else {
            return;
        };
        vips.remove(&vip);
        if !vips.is_empty() {
            return;
        }
        self.members.remove(&seat);
        if let Some(socket) = &self.socket {
            drop(socket.leave_multicast_v6(&seat.1, interface));
        }
    }
}
