//! The Internet checksum (RFC 1071), which IPv4, ICMP and ICMPv6 share.

/// The checksum of some parts, each of which ends a 16-bit word, in network byte order.
pub(crate) fn internet(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words
        .map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
        .sum();
    let once = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = ((once & 0xffff) + (once >> 16)).to_be_bytes();
    [!high, !low]
}
