//! What the packets of both IP families have in common, so that the stages behind are written once.

use gateway_common::addr::Address;
use gateway_common::checksum::Sum;
use gateway_common::counter::Counter;

use crate::header::Header;
use crate::packet::Frame;

/// A packet of one of the families.
pub(crate) trait Ip: Sized {
    /// An address as it is in the header.
    type Wire: Header;

    /// Length of the header without options.
    const LEN: usize;
    /// Where the header has the source.
    const SOURCE: usize;
    /// Where it has the destination.
    const DESTINATION: usize;
    /// Where it has its checksum; IPv6 has none.
    const CHECK: Option<usize>;
    /// The protocol number of the family's ICMP.
    const ICMP: u8;
    /// Types of its messages that quote the packet that they complain about.
    const ICMP_ERRORS: [u8; 4];

    /// Reads the fixed part of the header, and believes nothing of it yet.
    fn read(frame: &impl Frame, offset: usize) -> Option<Self>;

    /// Holds the header against the frame, and finds the transport header behind options or extension headers.
    fn validate(&mut self, frame: &impl Frame) -> Result<(), Counter>;

    /// Where the header starts.
    fn offset(&self) -> usize;

    /// Where the transport header starts, once validated.
    fn transport(&self) -> usize;

    /// The transport protocol, once validated.
    fn protocol(&self) -> u8;

    /// Who sent it.
    fn source(&self) -> Address;

    /// Whom it is for.
    fn destination(&self) -> Address;

    /// Length of what follows options or extension headers, in bytes. Only after `validate`.
    fn payload_len(&self) -> u16;

    /// An address of the family as it is in the header.
    fn on_wire(address: &Address) -> Self::Wire;

    /// What replacing an address changes of a sum.
    fn difference(old: &Address, new: &Address) -> Sum;
}
