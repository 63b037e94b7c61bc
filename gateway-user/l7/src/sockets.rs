//! Opens listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

/// Connections that the kernel completes before they are accepted, per socket.
const BACKLOG: i32 = 4_096;

/// Instructions of classic BPF (`linux/bpf_common.h`).
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Where the flags are in a TCP header, and two of them (RFC 9293 §3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;
/// Keeps out what opens a connection, and nothing else: handshakes that have begun go on.
const NO_NEW_CONNECTION: [SockFilter; 5] = [
    SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
    SockFilter::new(AND, 0, 0, SYN | ACK),
    SockFilter::new(JUMP_IF_EQUAL, 1, 0, SYN),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
    SockFilter::new(RETURN, 0, 0, 0),
];

/// Where connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Sockets on the addresses of every port of the snapshot; a port without addresses is bound on `0.0.0.0` and `::`.
    Addresses,
    /// One transparent socket per worker and family on loopback, which gate 2 feeds; the port is found by a connection's
    /// local address. Needs `CAP_NET_ADMIN`.
    Transparent,
}

/// Whether other sockets may listen on the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    Shared,
    Alone,
}

/// Whether somebody else may be on the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// This process has no socket on it yet.
    New,
    /// This process listens on it with another address, so a conflict would be with itself.
    Ours,
}

/// Opens one socket per worker on an address.
///
/// # Errors
/// When another process, even one that shares its port too, listens there.
pub(crate) fn listen(
    address: SocketAddr,
    workers: usize,
    port: Port,
) -> io::Result<Vec<TcpListener>> {
    if port == Port::New {
        // The kernel would let a second process of the same user join the shared port and take half the connections.
        drop(open(address, Sharing::Alone)?);
    }
    (0..workers)
        .map(|_| {
            let socket = open(address, Sharing::Shared)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

/// Opens a worker's sockets that accept connections to any address that the kernel hands them: one of IPv4, one of IPv6
/// where the machine has it.
///
/// # Errors
/// Without `CAP_NET_ADMIN`.
pub(crate) fn listen_transparent() -> io::Result<Vec<TcpListener>> {
    let mut sockets = vec![transparent(Ipv4Addr::LOCALHOST.into())?];
    match transparent(Ipv6Addr::LOCALHOST.into()) {
        Ok(socket) => sockets.push(socket),
        Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => {}
        Err(error) => return Err(error),
    }
    Ok(sockets)
}

/// Lets a listening socket take no new connection without refusing one: who asks hears nothing and asks again, after a
/// second at first (RFC 6298 §2).
///
/// # Errors
/// When the kernel has no memory for the filter.
pub(crate) fn turn_away(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&NO_NEW_CONNECTION)
}

/// Lets it take new connections again.
///
/// # Errors
/// When the kernel refuses, which it does only where the process may not undo what it has done.
pub(crate) fn let_in(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).detach_filter()
}

fn transparent(loopback: IpAddr) -> io::Result<TcpListener> {
    let address = SocketAddr::new(loopback, 0);
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if loopback.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_ip_transparent_v6(true)?;
    } else {
        socket.set_ip_transparent_v4(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The addresses to listen on: those given, or all of both families.
pub(crate) fn resolve(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let all = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let addresses = if addresses.is_empty() {
        &all
    } else {
        addresses
    };
    let addresses = addresses.iter();
    addresses
        .map(|address| SocketAddr::new(*address, port))
        .collect()
}

/// Whether an error says that the machine has no such family, rather than that the address is taken.
pub(crate) fn is_family_missing(address: SocketAddr, error: &io::Error) -> bool {
    let missing = [nix::libc::EAFNOSUPPORT, nix::libc::EADDRNOTAVAIL];
    address.ip().is_unspecified()
        && address.is_ipv6()
        && error
            .raw_os_error()
            .is_some_and(|code| missing.contains(&code))
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if sharing == Sharing::Shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // `::` beside `0.0.0.0`, each with its own family.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn turned_away_clients_hear_nothing_and_those_before_them_are_served() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let before = TcpStream::connect(address).expect("a connection");

        turn_away(&listener).expect("a filter");

        let connect = |time| TcpStream::connect_timeout(&address, time);
        let refused = connect(Duration::from_millis(200)).map(drop);
        let error = refused.expect_err("nobody takes it");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (_stream, peer) = listener.accept().expect("the connection before");
        assert_eq!(Some(peer), before.local_addr().ok());

        let_in(&listener).expect("no filter");
        connect(Duration::from_secs(10)).expect("a connection");
    }
}
