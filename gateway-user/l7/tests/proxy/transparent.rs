//! Sockets that gate 2 feeds.

use std::io::Write;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use gateway_l7::{Listen, Proxy, Settings, StartError};
use nix::sys::socket::{SockaddrStorage, getsockname};
use prometheus_client::registry::Registry;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::client::{get_once, pod};
use crate::config::plain;
use crate::pods::Pod;
use crate::rig::address;

#[tokio::test]
async fn the_port_of_a_transparent_connection_is_found_by_its_local_address() {
    let settings = Settings {
        workers: NonZeroUsize::new(2).expect("not zero"),
        listen: Listen::Transparent,
    };
    let proxy = match Proxy::start(settings, &mut Registry::default()) {
        Ok(proxy) => proxy,
        Err(StartError::Transparent(error)) => {
            let name = "the_port_of_a_transparent_connection_is_found_by_its_local_address";
            writeln!(
                std::io::stderr(),
                "skipped: {name}: needs CAP_NET_ADMIN ({error})"
            )
            .expect("stderr takes the line");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let sockets = proxy.sockets();
    let (v4, v6): (Vec<_>, Vec<_>) = sockets
        .iter()
        .map(address_of)
        .partition(SocketAddr::is_ipv4);
    let [served, not_served] = v4[..] else {
        panic!("one socket per worker: {v4:?}");
    };
    // A machine may have no IPv6.
    assert!([0, 2].contains(&v6.len()), "one socket per worker: {v6:?}");
    let served_v6 = v6.first().copied();

    // Nothing is bound for the snapshot's ports: one of them is a socket that is there already, standing for a VIP.
    let (endpoint, vip) = (Pod::echo("a").await, address());
    let mut snapshot = plain(served, &[endpoint.address]);
    snapshot.http.extend(plain(vip, &[endpoint.address]).http);
    if let Some(served) = served_v6 {
        snapshot
            .http
            .extend(plain(served, &[endpoint.address]).http);
    }
    let generation = snapshot.generation();
    proxy.publish(Arc::new(snapshot));
    let mut reports = proxy.reports();
    let report = reports
        .wait_for(|report| report.programmed == Some(generation))
        .await;
    assert!(report.expect("the proxy runs").failures.is_empty());

    for served in [Some(served), served_v6].into_iter().flatten() {
        assert_eq!(pod(&get_once(served, "h", "/").await), "a");
    }
    assert!(TcpStream::connect(vip).await.is_err());
    let mut stray = TcpStream::connect(not_served).await.expect("a connection");
    assert_eq!(stray.read(&mut [0]).await.unwrap_or(0), 0);
}

fn address_of(socket: &BorrowedFd<'_>) -> SocketAddr {
    let address = getsockname::<SockaddrStorage>(socket.as_raw_fd()).expect("an address");
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => SocketAddrV4::from(*v4).into(),
        (None, Some(v6)) => SocketAddrV6::from(*v6).into(),
        (None, None) => panic!("a socket of IP: {address:?}"),
    }
}
