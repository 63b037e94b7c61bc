//! Puts whole Ethernet frames on the wire.

use std::io;

use nix::libc;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

/// A packet socket that only sends.
#[derive(Debug)]
pub(super) struct Frames {
    socket: Socket,
}

impl Frames {
    /// Opens the socket; protocol 0 receives nothing.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Sends a frame, from the destination address to the end of the payload.
    ///
    /// # Errors
    /// When the interface is gone or its queue is full.
    pub(super) fn send(&self, interface: u32, frame: &[u8]) -> io::Result<()> {
        let to = link_address(interface, 0)?;
        self.socket.send_to(frame, &to).map(drop)
    }
}

/// The address of an interface as packet sockets know it, and of the frames that are received there; interface 0 is any.
#[expect(
    unsafe_code,
    reason = "neither nix nor socket2 makes a link-layer address without it"
)]
pub(super) fn link_address(interface: u32, protocol: u16) -> io::Result<SockAddr> {
    let index = i32::try_from(interface).map_err(io::Error::other)?;
    let family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: packet sockets' addresses are `sockaddr_ll`, a plain C structure that is smaller than the storage, and every
    // bit pattern of it, also the zeroes that are there now, is valid.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = family;
    link.sll_ifindex = index;
    link.sll_protocol = protocol.to_be();
    let length =
        libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
    // SAFETY: the lines above made the storage a `sockaddr_ll` of the family that it names, and the length is its.
    Ok(unsafe { SockAddr::new(storage, length) })
}
