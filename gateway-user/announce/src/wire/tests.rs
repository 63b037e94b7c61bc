//! Promises of the format.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::*;

#[test]
fn first_bytes_of_version_2_never_change() {
    let bytes = encode(&heartbeat(), &keys(b"0123456789abcdef"));
    let start = [b's', b'a', b'n', b'm', 2, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    assert_eq!(&bytes[..14], &start);
    assert_eq!(bytes.len(), 6 + 9 * 8 + 2 * 4 + 3 * 2 + TAG_BYTES);
}

/// What a node of the release before sends, which says nothing of its Ethernet addresses. Put together from the table in
/// `wire.rs` by hand, not by this code.
const FORMER: &str = "\
    73616e6d0201000000000000000700000000000000081122334455667788000000000000002a00000000000000030000\
    000000000009000186a0000493e099aabbccddeeff000000000000000029000000000000002800030001000204c0a802\
    c80004c0a802c90106fd00000000000000000000000000020002000000000000000804c0a802c9010000000000000007\
    000000000000000701000000000000000800ef44232df789852274b121b0380513dfeebb5a1a26416eaf74e64ed80287\
    2905";

#[test]
fn bytes_of_the_release_before_are_understood_and_written() {
    let keys = keys(b"0123456789abcdef");
    let (four, six) = ([192, 168, 2, 201].into(), "fd00::200".parse().unwrap());
    let asked = |vip, stance| Asked { vip, stance };
    let former = Heartbeat {
        incarnation: 0x1122_3344_5566_7788,
        sequence: 42,
        generation: 9,
        serving: Serving::Part,
        echo: Some(Echo {
            incarnation: 0x99aa_bbcc_ddee_ff00,
            sequence: 41,
            accepted: 40,
        }),
        asked: vec![
            asked([192, 168, 2, 200].into(), Stance::Wanted),
            asked(four, Stance::Held),
            asked(six, Stance::Released(NodeId(8))),
        ],
        granted: vec![Granted {
            vip: four,
            holder: NodeId(7),
            armed: true,
        }],
        alive: vec![(NodeId(7), Serving::Part), (NodeId(8), Serving::Everything)],
        ..heartbeat()
    };
    let (bytes, _) = FORMER.as_bytes().as_chunks::<2>();
    let byte = |hex: &[u8; 2]| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = bytes.iter().map(byte).collect();
    assert_eq!(decode(&bytes, &keys), Ok(former.clone()));
    assert_eq!(encode(&former, &keys), bytes);
}

#[test]
fn records_of_a_later_release_are_read_past() {
    let keys = keys(b"0123456789abcdef");
    let mut bytes = encode(&heartbeat(), &keys);
    bytes.truncate(bytes.len() - TAG_BYTES);
    bytes.extend([250, 0, 3, 1, 2, 3]);
    assert_eq!(
        decode(&signed(bytes.clone(), &keys), &keys),
        Ok(heartbeat())
    );
    bytes.extend([251, 0, 9]);
    assert_eq!(
        decode(&signed(bytes, &keys), &keys),
        Err(Refused::Malformed)
    );
}

#[test]
fn courses_of_a_later_release_are_read_past_and_entries_that_end_early_are_refused() {
    let keys = keys(b"0123456789abcdef");
    let known = Foreign {
        address: [192, 168, 2, 200].into(),
        course: Course::SetAside,
        mac: Mac([2, 0, 0, 0, 0, 0x66]),
    };
    let said = Heartbeat {
        foreign: vec![known],
        ..heartbeat()
    };
    let mut bytes = encode(&said, &keys);
    bytes.truncate(bytes.len() - TAG_BYTES);
    let record = bytes.len() - 15;
    assert_eq!(bytes[record..record + 3], [FOREIGN, 0, 12]);
    let later = [4, 192, 168, 2, 201, 9, 2, 0, 0, 0, 0, 0x67];
    bytes[record + 2] += 12;
    bytes.extend(later);
    assert_eq!(decode(&signed(bytes.clone(), &keys), &keys), Ok(said));
    bytes[record + 2] -= 1;
    bytes.pop();
    assert_eq!(
        decode(&signed(bytes, &keys), &keys),
        Err(Refused::Malformed)
    );
}

#[test]
fn terms_that_nobody_has_are_refused() {
    let keys = keys(b"0123456789abcdef");
    for (beat_ms, lease_ms) in [(0, 300), (100, 50), (100, 61_000)] {
        let terms = Terms {
            beat: Duration::from_millis(beat_ms),
            lease: Duration::from_millis(lease_ms),
        };
        let heartbeat = Heartbeat {
            terms,
            ..heartbeat()
        };
        let decoded = decode(&encode(&heartbeat, &keys), &keys);
        assert_eq!(decoded, Err(Refused::Malformed), "{terms:?}");
    }
}

#[test]
fn strangers_and_other_versions_are_refused() {
    let keys = keys(b"0123456789abcdef");
    let bytes = encode(&heartbeat(), &keys);
    let stranger = Keys::new(b"fedcba9876543210", None).unwrap();
    assert_eq!(decode(&bytes, &stranger), Err(Refused::Signature));
    let mut later = bytes.clone();
    later[4] = 3;
    assert_eq!(decode(&later, &keys), Err(Refused::Foreign));
    assert_eq!(decode(b"", &keys), Err(Refused::Foreign));
    assert_eq!(
        decode(&bytes[..bytes.len() - 1], &keys),
        Err(Refused::Signature)
    );
}

#[test]
fn previous_key_is_accepted_while_it_is_rotated() {
    let old = keys(b"0123456789abcdef");
    let new = Keys::new(b"fedcba9876543210", Some(b"0123456789abcdef")).unwrap();
    assert_eq!(decode(&encode(&heartbeat(), &old), &new), Ok(heartbeat()));
}

#[test]
fn short_keys_are_refused_and_keys_are_never_printed() {
    assert_eq!(Keys::new(b"short", None).err(), Some(WeakKey));
    assert_eq!(format!("{:?}", keys(b"0123456789abcdef")), "Keys");
}

proptest! {
    #[test]
    fn what_is_written_is_read(heartbeat in any_heartbeat()) {
        let keys = keys(b"0123456789abcdef");
        prop_assert_eq!(decode(&encode(&heartbeat, &keys), &keys), Ok(heartbeat));
    }

    #[test]
    fn one_wrong_byte_is_noticed(heartbeat in any_heartbeat(), place in any::<usize>(), flip in 1_u8..) {
        let keys = keys(b"0123456789abcdef");
        let mut bytes = encode(&heartbeat, &keys);
        let place = place % bytes.len();
        bytes[place] ^= flip;
        assert!(decode(&bytes, &keys).is_err());
    }

    #[test]
    fn rightly_signed_nonsense_is_read_without_harm(body in vec(any::<u8>(), 0..400)) {
        let keys = keys(b"0123456789abcdef");
        let bytes = signed([MAGIC.as_slice(), &[VERSION], &body].concat(), &keys);
        if let Ok(heartbeat) = decode(&bytes, &keys) {
            prop_assert_eq!(decode(&encode(&heartbeat, &keys), &keys), Ok(heartbeat));
        }
    }
}

fn any_heartbeat() -> impl Strategy<Value = Heartbeat> {
    let node = || any::<u64>().prop_map(NodeId);
    let serving = || {
        prop_oneof![
            Just(Serving::Everything),
            Just(Serving::Part),
            Just(Serving::Reserve),
            Just(Serving::Nothing)
        ]
    };
    let stance = prop_oneof![
        Just(Stance::Wanted),
        Just(Stance::Held),
        node().prop_map(Stance::Released)
    ];
    let asked = (any::<IpAddr>(), stance).prop_map(|(vip, stance)| Asked { vip, stance });
    let granted = (any::<IpAddr>(), node(), any::<bool>())
        .prop_map(|(vip, holder, armed)| Granted { vip, holder, armed });
    let echo =
        (any::<u64>(), 1_u64.., any::<u64>()).prop_map(|(incarnation, sequence, accepted)| Echo {
            incarnation,
            sequence,
            accepted,
        });
    let course = prop_oneof![
        Just(Course::Defended),
        Just(Course::Withheld),
        Just(Course::SetAside)
    ];
    let foreign =
        (any::<IpAddr>(), course, any::<[u8; 6]>()).prop_map(|(address, course, mac)| Foreign {
            address,
            course,
            mac: Mac(mac),
        });
    let lists = (
        vec(asked, 0..9),
        vec(granted, 0..9),
        vec((node(), serving()), 0..9),
        vec(any::<[u8; 6]>().prop_map(Mac), 0..4),
        vec(foreign, 0..4),
    );
    let terms = (1_u64..20_000_000, 1_u64..3).prop_map(|(beat, count)| Terms {
        beat: Duration::from_micros(beat),
        lease: Duration::from_micros(beat * count),
    });
    (any::<[u64; 6]>(), serving(), option::of(echo), lists, terms).prop_map(
        |(words, serving, echo, (asked, granted, alive, macs, foreign), terms)| Heartbeat {
            from: NodeId(words[0]),
            to: NodeId(words[1]),
            incarnation: words[2],
            sequence: words[3],
            terms,
            voters: SetId(words[4]),
            generation: words[5],
            serving,
            echo,
            asked,
            granted,
            alive,
            macs,
            foreign,
        },
    )
}

fn signed(mut bytes: Vec<u8>, keys: &Keys) -> Vec<u8> {
    let tag = hmac::sign(&keys.current, &bytes);
    bytes.extend_from_slice(tag.as_ref());
    bytes
}

fn keys(bytes: &[u8]) -> Keys {
    Keys::new(bytes, None).unwrap()
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        from: NodeId(7),
        to: NodeId(8),
        incarnation: 1,
        sequence: 1,
        terms: Terms::default(),
        voters: SetId(3),
        generation: 4,
        serving: Serving::Everything,
        echo: None,
        asked: Vec::new(),
        granted: Vec::new(),
        alive: Vec::new(),
        macs: Vec::new(),
        foreign: Vec::new(),
    }
}
