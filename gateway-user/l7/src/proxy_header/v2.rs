//! Version 2: binary, with fields of type, length and value after the addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Ends, Malformed, Progress};

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, protocol and the length of the rest.
const FIXED_BYTES: usize = 16;
/// What is read of a header at most. Senders keep to 536 bytes, but for the certificates that some put in.
const HEADER_BYTES_MAX: usize = 8 * 1024;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;
const IPV4_BYTES: usize = 12;
const IPV6_BYTES: usize = 36;
const UNIX_BYTES: usize = 216;
/// `PP2_TYPE_CRC32C`.
const FIELD_CHECKSUM: u8 = 0x03;

/// Reads a header that begins with the signature.
pub(super) fn read(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_BYTES) else {
        return Ok(Progress::More(FIXED_BYTES.saturating_sub(bytes.len())));
    };
    let [.., command, protocol, high, low] = *fixed else {
        return Err(Malformed::Length);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED_BYTES + length > HEADER_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    if rest.len() < length {
        return Ok(Progress::More(length - rest.len()));
    }
    match command {
        // What the proxy says of a connection of its own is to be skipped.
        LOCAL => return Ok(Progress::Unknown),
        PROXY => {}
        _other => return Err(Malformed::Command),
    }
    let address_bytes = match protocol {
        // Without addresses it is not said where the fields begin.
        UNSPECIFIED => return Ok(Progress::Unknown),
        TCP_OVER_IPV4 => IPV4_BYTES,
        TCP_OVER_IPV6 => IPV6_BYTES,
        UNIX_STREAM => UNIX_BYTES,
        _other => return Err(Malformed::Protocol),
    };
    let (addresses, fields) = rest
        .split_at_checked(address_bytes)
        .ok_or(Malformed::Length)?;
    let offset = FIXED_BYTES + address_bytes;
    verify(bytes, offset, fields)?;
    Ok(ends(addresses).map_or(Progress::Unknown, Progress::Proxied))
}

fn ends(addresses: &[u8]) -> Option<Ends> {
    let port = |at: usize| {
        let bytes = addresses.get(at..at + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let ipv4 = |at: usize| {
        let bytes: [u8; 4] = addresses.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(bytes)))
    };
    let ipv6 = |at: usize| {
        let bytes: [u8; 16] = addresses.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    let (source, destination) = match addresses.len() {
        IPV4_BYTES => ((ipv4(0)?, port(8)?), (ipv4(4)?, port(10)?)),
        IPV6_BYTES => ((ipv6(0)?, port(32)?), (ipv6(16)?, port(34)?)),
        // The paths of UNIX sockets say nothing to anyone else.
        _unix => return None,
    };
    let source = SocketAddr::new(source.0, source.1);
    Some(Ends::new(
        source,
        SocketAddr::new(destination.0, destination.1),
    ))
}

/// Walks over the fields after the addresses; a checksum among them must be right.
fn verify(header: &[u8], mut offset: usize, mut fields: &[u8]) -> Result<(), Malformed> {
    while !fields.is_empty() {
        let [kind, high, low, rest @ ..] = fields else {
            return Err(Malformed::Length);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = rest.split_at_checked(length).ok_or(Malformed::Length)?;
        if *kind == FIELD_CHECKSUM {
            let value: [u8; 4] = value
                .try_into()
                .map_err(|_other_length| Malformed::Length)?;
            if checksum(header, offset + 3) != u32::from_be_bytes(value) {
                return Err(Malformed::Checksum);
            }
        }
        offset += 3 + length;
        fields = next;
    }
    Ok(())
}

/// CRC32C (RFC 4960 appendix B) of a header whose four bytes at `at` count as zero.
fn checksum(header: &[u8], at: usize) -> u32 {
    /// The polynomial, its bits in reverse order.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let counted = header.iter().enumerate().map(|(index, byte)| {
        let is_its_own = (at..at + 4).contains(&index);
        if is_its_own { 0 } else { *byte }
    });
    !counted.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _bit| {
            (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg())
        })
    })
}

pub(super) fn write(
    Ends {
        source,
        destination,
    }: &Ends,
) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(IPV6_BYTES);
    let protocol = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            addresses.extend(source.octets());
            addresses.extend(destination.octets());
            TCP_OVER_IPV4
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            addresses.extend(source.octets());
            addresses.extend(destination.octets());
            TCP_OVER_IPV6
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => UNSPECIFIED,
    };
    if protocol != UNSPECIFIED {
        addresses.extend(source.port().to_be_bytes());
        addresses.extend(destination.port().to_be_bytes());
    }
    let mut header = SIGNATURE.to_vec();
    header.extend([PROXY, protocol, 0]);
    // At most 36 bytes.
    header.push(u8::try_from(addresses.len()).unwrap_or_default());
    header.extend(addresses);
    header
}
