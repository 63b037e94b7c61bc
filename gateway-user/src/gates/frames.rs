//! Puts whole Ethernet frames on the wire.

use std::io;

use nix::libc;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

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
        self.socket.send_to(frame, &address(interface)?).map(drop)
    }
}

/// The address of an interface as packet sockets know it.
#[expect(
    unsafe_code,
    reason = "neither nix nor socket2 makes a link-layer address without it"
)]
fn address(interface: u32) -> io::Result<SockAddr> {
    let index = i32::try_from(interface).map_err(io::Error::other)?;
    let family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    let link = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: 0,
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&link)).map_err(io::Error::other)?;
    // SAFETY: a `sockaddr_storage` is at least as large and as aligned as every kind of socket address, so `link` fits
    // at its start, and the length that is stored is that of what was written.
    let filled = unsafe {
        SockAddr::try_init(|storage, stored| {
            storage.cast::<libc::sockaddr_ll>().write(link);
            *stored = length;
            Ok(())
        })
    };
    filled.map(|((), address)| address)
}
