//! Which driver an interface has: decides between native XDP and tc.
#![expect(
    unsafe_code,
    reason = "the ethtool ioctl takes a pointer and has no safe wrapper"
)]

use std::ffi::c_char;
use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Drivers of software links: native XDP loses packets there unless the peer takes part (veth), or is missing.
const SOFTWARE: [&str; 9] = [
    "veth",
    "bridge",
    "tun",
    "dummy",
    "macvlan",
    "ipvlan",
    "vxlan",
    "802.1Q VLAN Support",
    "netkit",
];

const ETHTOOL_GDRVINFO: u32 = 3;

/// `struct ethtool_drvinfo` of `linux/ethtool.h`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    expansion_rom: [u8; 32],
    reserved: [u8; 12],
    sizes: [u32; 5],
}

/// Whether an interface is a software link, so that tc serves it better than native XDP.
pub(crate) fn is_software(interface: &str) -> bool {
    driver_of(interface).is_ok_and(|driver| SOFTWARE.contains(&driver.as_str()))
}

fn driver_of(interface: &str) -> io::Result<String> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        version: [0; 32],
        firmware: [0; 32],
        bus: [0; 32],
        expansion_rom: [0; 32],
        reserved: [0; 12],
        sizes: [0; 5],
    };
    let mut request = libc::ifreq {
        ifr_name: name_of(interface)?,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: (&raw mut info).cast::<c_char>(),
        },
    };
    // SAFETY: request and info outlive the call, and info has the size that the command asks for.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    let end = info.driver.iter().position(|byte| *byte == 0);
    let name = info.driver.get(..end.unwrap_or(info.driver.len()));
    Ok(String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
}

fn name_of(interface: &str) -> io::Result<[c_char; libc::IFNAMSIZ]> {
    let mut name = [0; libc::IFNAMSIZ];
    if interface.len() >= name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in name.iter_mut().zip(interface.bytes()) {
        *place = byte.cast_signed();
    }
    Ok(name)
}
