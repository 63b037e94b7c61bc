//! What the state machine wants done; the shell does it.

use std::net::IpAddr;
use std::time::Duration;

use gateway_ir::Mac;

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Let the kernel answer for an address until a moment on the monotonic clock.
    Answer {
        /// The VIP.
        address: IpAddr,
        /// Index of the interface.
        interface: u32,
        /// The interface's Ethernet address, which the answer names.
        mac: Mac,
        /// The deadline; it may be past, then the kernel stays silent.
        until: Duration,
    },
    /// Let the kernel stop answering at once.
    Silence {
        /// The VIP.
        address: IpAddr,
        /// Index of the interface.
        interface: u32,
    },
    /// Put a frame on the wire.
    Send {
        /// Index of the interface.
        interface: u32,
        /// From the destination address to the end of the payload.
        frame: Vec<u8>,
    },
}
