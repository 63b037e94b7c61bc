//! Two nodes: what is asked on the wire, and what the answers do.

use std::net::Ipv4Addr;

use super::*;
use crate::icmp;

const ROUTER: (Ipv4Addr, Mac) = (Ipv4Addr::new(192, 168, 2, 1), Mac([2, 0, 0, 0, 0, 1]));
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 11]);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 200);

#[test]
fn lonely_one_of_two_takes_the_address_when_the_router_answers_and_nobody_else() {
    let mut announcer = pair();
    let end = run(&mut announcer, 1500, |_| None);
    assert_eq!(decision(&announcer), Decision::Announce, "at {end:?}");
}

#[test]
fn echo_by_way_of_the_router_keeps_it_silent() {
    let mut announcer = pair();
    run(&mut announcer, 1500, |frame| {
        let is_echo = frame[..6] == ROUTER.1.0 && frame[12..14] == [8, 0];
        let seen = Seen {
            interface: 3,
            answer: Answer::Echo(VIP.into()),
        };
        is_echo.then_some(seen)
    });
    let why = Reason::Split(crate::membership::pair::Hindrance::OtherAnswers);
    assert_eq!(decision(&announcer), Decision::Withhold(why));
}

#[test]
fn arp_answer_of_the_other_node_keeps_it_silent() {
    let mut announcer = pair();
    run(&mut announcer, 1500, |frame| {
        let asks = frame[12..14] == [8, 6] && frame[38..42] == VIP.octets();
        let seen = Seen {
            interface: 3,
            answer: Answer::Neighbour(VIP.into(), OTHER),
        };
        asks.then_some(seen)
    });
    assert_ne!(decision(&announcer), Decision::Announce);
}

#[test]
fn answers_are_read_from_frames_and_nothing_else_is() {
    let reply = crate::arp::gratuitous_reply(VIP, OTHER);
    let seen = Seen::parse(3, &reply).expect("an ARP reply");
    assert_eq!(seen.answer, Answer::Neighbour(VIP.into(), OTHER));
    let request = icmp::echo_request((OTHER, VIP), ETH0, ROUTER.0);
    assert_eq!(Seen::parse(3, &request), None);
}

/// Lets time pass while the router answers every question; `more` answers in the name of others.
fn run(announcer: &mut Announcer, until_ms: u64, more: impl Fn(&[u8]) -> Option<Seen>) -> Duration {
    for ms in 0..until_ms {
        announcer.advance(at(ms));
        while announcer.poll_heartbeat().is_some() {}
        for command in drain(announcer) {
            let Command::Send { frame, .. } = command else {
                continue;
            };
            if frame[12..14] == [8, 6] && frame[38..42] == ROUTER.0.octets() {
                let answer = Answer::Neighbour(ROUTER.0.into(), ROUTER.1);
                announcer.see(
                    at(ms),
                    Seen {
                        interface: 3,
                        answer,
                    },
                );
            }
            if let Some(seen) = more(&frame) {
                announcer.see(at(ms), seen);
            }
        }
    }
    at(until_ms)
}

/// One of two nodes; the other one is never heard.
fn pair() -> Announcer {
    let mut announcer = Announcer::new(Settings::new(NodeName("node-1".into())));
    let vips = [vip("192.168.2.200")];
    let interfaces = [eth0(3)];
    let view = View {
        peers: &[NodeName("node-2".into())],
        witnesses: &[ROUTER.0.into()],
        part: Some(Part {
            serving: Serving::Everything,
            generation: 1,
        }),
        ..view(&vips, &interfaces)
    };
    announcer.update(at(0), view);
    announcer
}
