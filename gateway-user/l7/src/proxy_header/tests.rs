//! A table of bytes, and that no bytes do harm.

use proptest::prelude::*;

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0xd4, 0x31, 0x01, 0xbb];

/// Reads bytes as they would come over a connection, and gives what it came to and how many it took.
fn whole(bytes: &[u8]) -> (Result<Progress, Malformed>, usize) {
    let mut taken = 0;
    loop {
        match read(&bytes[..taken]) {
            Ok(Progress::More(more)) if taken + more <= bytes.len() => {
                assert!(more > 0);
                taken += more;
            }
            other => return (other, taken),
        }
    }
}

fn proxied(source: &str, destination: &str) -> Progress {
    let address = |text: &str| text.parse().expect("an address");
    Progress::Proxied(Ends {
        source: address(source),
        destination: address(destination),
    })
}

fn v4() -> Progress {
    proxied("192.0.2.1:54321", "198.51.100.2:443")
}

#[test]
fn lines_of_version_1() {
    let longest = "PROXY TCP6 ffff:f00f:ffff:ffff:ffff:ffff:ffff:ffff \
                   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    let ends = [
        "[ffff:f00f:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
    ];
    let unknown = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    let zero = proxied("0.0.0.0:0", "0.0.0.0:0");
    let mapped = "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 54321 443\r\n";
    let usual = "PROXY TCP4 192.0.2.1 198.51.100.2 54321 443\r\n";
    let short = "PROXY TCP6 ::1 ::2 1 2\r\n";
    for (line, expected) in [
        (usual, v4()),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", zero),
        (short, proxied("[::1]:1", "[::2]:2")),
        // The client of an IPv6 socket that took an IPv4 connection.
        (mapped, v4()),
        (longest, proxied(ends[0], ends[1])),
        ("PROXY UNKNOWN\r\n", Progress::Unknown),
        (unknown.as_str(), Progress::Unknown),
    ] {
        let bytes = [line.as_bytes(), b"rest\n"].concat();
        // And nothing beyond its end is taken.
        assert_eq!(whole(&bytes), (Ok(expected), line.len()), "{line:?}");
    }
}

#[test]
fn lines_that_are_not_of_version_1() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 54321 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 54321  443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 54321 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 54321\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 054321 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 54321 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +54321 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 54321 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 54321 443\r\n",
        "PROXY TCP4 ::1 ::2 11111111 2222222222\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 54321 443\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.2 54321 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 54321 443\r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.2 54321 443\r\n",
        "PROXY TCP4\r192.0.2.1 198.51.100.2 54321 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 54321 443\r\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.2 54321 443\r\n",
        "PROXY TCP4 1\r\nGET / HTTP/1.1\r\nhost: shop.test\r\n",
    ] {
        assert_eq!(whole(line.as_bytes()).0, Err(Malformed::Line), "{line:?}");
    }
    let lower = b"proxy TCP4 192.0.2.1 198.51.100.2 54321 443\r\n";
    for bytes in [
        lower.as_slice(),
        b"GET / HTTP/1.1\r\n",
        &[22, 3, 1, 0, 200],
        &[0; 15],
    ] {
        let bytes = [bytes, &[0; 15]].concat();
        assert_eq!(whole(&bytes).0, Err(Malformed::Missing), "{bytes:?}");
    }
    let endless = "PROXY UNKNOWN ".to_owned() + &"x".repeat(200);
    let too_long = (Err(Malformed::LineTooLong), 107);
    assert_eq!(whole(endless.as_bytes()), too_long);
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("short");
    [&[kind, 0, length], value].concat()
}

fn v4_with(fields: &[u8]) -> Vec<u8> {
    [V4, fields].concat()
}

#[test]
fn headers_of_version_2() {
    let mut v6 = vec![0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 1, 2);
    let nested = field(0x20, &[1, 0, 0, 0, 0]);
    let fields = [field(2, b"a.b"), nested].concat();
    let unknown = Progress::Unknown;
    for (what, command, protocol, rest, expected) in [
        ("IPv4", 0x21, 0x11, V4.to_vec(), v4()),
        ("IPv6", 0x21, 0x21, v6, proxied("[::1]:1", "[::2]:2")),
        ("a field", 0x21, 0x11, v4_with(&field(4, &[0; 7])), v4()),
        ("an empty field", 0x21, 0x11, v4_with(&field(4, &[])), v4()),
        ("fields", 0x21, 0x11, v4_with(&fields), v4()),
        ("a UNIX socket", 0x21, 0x31, vec![0; 216], unknown),
        ("unspecified", 0x21, 0x00, vec![], unknown),
        ("unspecified with more", 0x21, 0x00, vec![9; 99], unknown),
        ("local", 0x20, 0x00, vec![], unknown),
        ("local with addresses", 0x20, 0x11, V4.to_vec(), unknown),
        ("local with anything", 0x20, 0xff, vec![9; 99], unknown),
    ] {
        let header = header(command, protocol, &rest);
        let bytes = [header.as_slice(), b"rest"].concat();
        assert_eq!(whole(&bytes), (Ok(expected), header.len()), "{what}");
    }
}

#[test]
fn headers_that_are_not_of_version_2() {
    let v4 = V4.to_vec();
    let (unix, cut) = (vec![0; 215], V4[..11].to_vec());
    let checksum = |bytes: &[u8]| v4_with(&field(3, bytes));
    for (what, command, protocol, rest, expected) in [
        ("version 1", 0x11, 0x11, v4.clone(), Malformed::Command),
        ("version 3", 0x31, 0x11, v4.clone(), Malformed::Command),
        ("command 2", 0x22, 0x11, v4.clone(), Malformed::Command),
        ("UDP on IPv4", 0x21, 0x12, v4.clone(), Malformed::Protocol),
        ("UDP on IPv6", 0x21, 0x22, vec![0; 36], Malformed::Protocol),
        ("datagrams", 0x21, 0x32, vec![0; 216], Malformed::Protocol),
        ("no family", 0x21, 0x41, v4.clone(), Malformed::Protocol),
        ("IPv4 cut", 0x21, 0x11, cut, Malformed::Length),
        ("IPv4 as IPv6", 0x21, 0x21, v4, Malformed::Length),
        ("a UNIX socket cut", 0x21, 0x31, unix, Malformed::Length),
        ("half", 0x21, 0x11, v4_with(&[4, 0]), Malformed::Length),
        ("over", 0x21, 0x11, v4_with(&[4, 0, 9]), Malformed::Length),
        (
            "short sum",
            0x21,
            0x11,
            checksum(&[0; 3]),
            Malformed::Length,
        ),
        ("no sum", 0x21, 0x11, checksum(&[0; 4]), Malformed::Checksum),
    ] {
        let header = header(command, protocol, &rest);
        assert_eq!(whole(&header).0, Err(expected), "{what}");
    }
    let too_long = header(0x21, 0x11, &vec![0; 8 * 1024]);
    assert_eq!(whole(&too_long), (Err(Malformed::TooLong), 16));
}

/// The checksum is by another reading of its definition.
#[test]
fn a_right_checksum_is_taken() {
    let mut rest = [V4, &[3, 0, 4, 0, 0, 0, 0], &[2, 0, 1, b'h']].concat();
    let sum = crc(&header(0x21, 0x11, &rest));
    rest[15..19].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(whole(&header(0x21, 0x11, &rest)).0, Ok(v4()));
    // RFC 3720 §B.4: the check values of CRC32C.
    assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc(b"123456789"), 0xe306_9283);
}

#[test]
fn what_is_written_is_read_again() {
    for (source, destination) in [
        ("192.0.2.1:54321", "198.51.100.2:443"),
        ("[2001:db8::1]:1", "[2001:db8::2]:65535"),
        ("[::ffff:192.0.2.1]:54321", "198.51.100.2:443"),
    ] {
        let address = |text: &str| text.parse().expect("an address");
        let ends = Ends::new(address(source), address(destination));
        for version in [ProxyHeaderVersion::V1, ProxyHeaderVersion::V2] {
            let bytes = Introduction { version, ends }.bytes();
            assert_eq!(whole(&bytes), (Ok(Progress::Proxied(ends)), bytes.len()));
        }
    }
    let mixed = Ends::new(
        ([1, 2, 3, 4], 5).into(),
        ([0, 0, 0, 0, 0, 0, 0, 1], 5).into(),
    );
    for version in [ProxyHeaderVersion::V1, ProxyHeaderVersion::V2] {
        let bytes = Introduction {
            version,
            ends: mixed,
        }
        .bytes();
        assert_eq!(whole(&bytes), (Ok(Progress::Unknown), bytes.len()));
    }
    let v4 = Introduction {
        version: ProxyHeaderVersion::V2,
        ends: Ends::new(
            ([192, 0, 2, 1], 54321).into(),
            ([198, 51, 100, 2], 443).into(),
        ),
    };
    assert_eq!(v4.bytes(), header(0x21, 0x11, V4));
}

#[test]
fn any_header_is_read_to_its_last_byte_or_refused() {
    let usual = header(0x21, 0x11, &v4_with(&field(4, b"x")));
    let seeds: [&[u8]; 4] = [
        b"PROXY TCP4 192.0.2.1 198.51.100.2 54321 443\r\nGET",
        b"PROXY TCP6 ::1 ::2 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
        &usual,
    ];
    let pieces: [&[u8]; 10] = [
        SIGNATURE, b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"\r\n", b" ", b"::", b"0", V4,
    ];
    crate::fuzz::fuzz(&seeds, &pieces, |bytes| {
        let (got, taken) = whole(bytes);
        assert!(taken <= bytes.len());
        if let Ok(Progress::Proxied(ends)) = got {
            // What it says can be said again, and is then read alike.
            let version = ProxyHeaderVersion::V2;
            let again = Introduction { version, ends }.bytes();
            let families = ends.source.is_ipv4() == ends.destination.is_ipv4();
            let expected = if families {
                Progress::Proxied(ends)
            } else {
                Progress::Unknown
            };
            assert_eq!(whole(&again), (Ok(expected), again.len()));
        }
        let kind = match got {
            Ok(Progress::Proxied(_)) => Ok(0),
            Ok(Progress::Unknown) => Ok(1),
            Ok(Progress::More(_)) => Ok(2),
            Err(why) => Err(why.to_string()),
        };
        (kind, taken / 4)
    });
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer(
        start in prop_oneof![Just(vec![]), Just(SIGNATURE.to_vec()), Just(b"PROXY TCP4 ".to_vec()), Just(b"PROXY TCP6 ".to_vec())],
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [start, rest].concat();
        let (got, taken) = whole(&bytes);
        prop_assert!(taken <= bytes.len());
        prop_assert!(!matches!(got, Ok(Progress::More(more)) if taken + more <= bytes.len()));
    }

    #[test]
    fn a_header_is_read_alike_however_it_is_cut(cut in 0_usize..28, last in any::<u8>()) {
        let mut header = header(0x21, 0x11, V4);
        header[27] = last;
        let (first, _rest) = header.split_at(cut);
        prop_assert!(matches!(read(first), Ok(Progress::More(more)) if cut + more <= header.len()));
    }
}

fn header(command: u8, protocol: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [SIGNATURE, &[command, protocol], &length, rest].concat()
}

/// CRC32C by the definition, bit by bit from the highest.
fn crc(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            sum = if sum >> 31 == 1 {
                (sum << 1) ^ 0x1edc_6f41
            } else {
                sum << 1
            };
        }
    }
    !sum.reverse_bits()
}
