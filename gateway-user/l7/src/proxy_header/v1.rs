//! Version 1: one line of text.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{Ends, Malformed, Progress};

pub(super) const START: &[u8] = b"PROXY ";
/// The longest line, its end included (§2.1).
const LINE_BYTES_MAX: usize = 107;
/// The shortest lines with addresses.
const SHORTEST: [&[u8]; 2] = [
    b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
    b"PROXY TCP6 :: :: 0 0\r\n",
];

/// Reads a line that begins as it must.
pub(super) fn read(bytes: &[u8]) -> Result<Progress, Malformed> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) if end + 1 < bytes.len() => Err(Malformed::Line),
        Some(_) => line(bytes),
        None if bytes.len() >= LINE_BYTES_MAX => Err(Malformed::LineTooLong),
        None => {
            // The end is not known, but where a line of its kind ends at the earliest.
            let alike = SHORTEST.iter().find(|it| bytes.get(..10) == it.get(..10));
            let certain = alike.map_or(0, |it| it.len().saturating_sub(bytes.len()));
            Ok(Progress::More(certain.max(1)))
        }
    }
}

fn line(bytes: &[u8]) -> Result<Progress, Malformed> {
    let line = bytes.strip_prefix(START).ok_or(Malformed::Line)?;
    let line = line.strip_suffix(b"\r\n").ok_or(Malformed::Line)?;
    let line = std::str::from_utf8(line).map_err(|_not_text| Malformed::Line)?;
    if line.contains('\r') {
        return Err(Malformed::Line);
    }
    let words: Vec<&str> = line.split(' ').collect();
    let ends = match *words.as_slice() {
        // Whatever else such a line has is to be ignored.
        ["UNKNOWN", ..] => return Ok(Progress::Unknown),
        ["TCP4", source, destination, from, to] => {
            ends(source, destination, from, to, IpAddr::is_ipv4)
        }
        ["TCP6", source, destination, from, to] => {
            ends(source, destination, from, to, IpAddr::is_ipv6)
        }
        _ => None,
    };
    ends.map(Progress::Proxied).ok_or(Malformed::Line)
}

fn ends(
    source: &str,
    destination: &str,
    from: &str,
    to: &str,
    fits: fn(&IpAddr) -> bool,
) -> Option<Ends> {
    let address = |text: &str| IpAddr::from_str(text).ok().filter(fits);
    Some(Ends::new(
        SocketAddr::new(address(source)?, port(from)?),
        SocketAddr::new(address(destination)?, port(to)?),
    ))
}

/// A decimal number without sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain =
        text == "0" || text.starts_with(|first: char| first.is_ascii_digit() && first != '0');
    text.parse().ok().filter(|_| is_plain)
}

pub(super) fn write(
    Ends {
        source,
        destination,
    }: &Ends,
) -> String {
    let (from, to) = (source.port(), destination.port());
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            format!("PROXY TCP4 {source} {destination} {from} {to}\r\n")
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            format!("PROXY TCP6 {source} {destination} {from} {to}\r\n")
        }
        // There is no word for a connection between the families.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            "PROXY UNKNOWN\r\n".to_owned()
        }
    }
}
