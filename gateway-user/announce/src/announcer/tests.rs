//! Promises of the state machine, as tables and as properties over random histories.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use gateway_ir::{
    Choice, ListenerId, Mac, ObjectName, Pool, Protocol, Service, ServiceTarget, Vip,
    WeightedEndpoint,
};
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use proptest::{collection, sample};

use super::view::Place;
use super::*;
use crate::ndp;

mod conflicts;
mod legacy;
mod pair;

const LEASE: Duration = Duration::from_secs(1);
static RULES: LazyLock<AnnounceSettings> = LazyLock::new(AnnounceSettings::default);
const ETH0: Mac = Mac([2, 0, 0, 0, 0, 10]);

#[test]
fn answers_and_tells_as_soon_as_a_vip_appears() {
    let mut announcer = announcer();
    announcer.update(at(5000), view(&[vip("192.168.2.200")], &[eth0(3)]));
    let commands = drain(&mut announcer);
    assert_eq!(commands.first(), Some(&answer("192.168.2.200", 3, 6000)));
    assert_eq!(operations(&commands), [1, 2]);
}

#[test]
fn an_ipv6_vip_is_told_by_an_advertisement_each_time() {
    let mut announcer = announcer();
    let mut interface = eth0(3);
    interface.addresses.push("fd00:2::10/64".parse().unwrap());
    announcer.update(at(0), view(&[vip("fd00:2::1")], &[interface]));
    let frames: Vec<_> = drain(&mut announcer)
        .into_iter()
        .filter_map(|command| match command {
            Command::Send { interface, frame } => Some((interface, frame)),
            Command::Answer { .. } | Command::Silence { .. } => None,
        })
        .collect();
    let address = "fd00:2::1".parse().unwrap();
    let told = ndp::unsolicited_advertisement(address, ETH0);
    assert_eq!(frames, [(3, told)]);
}

#[test]
fn tells_at_0_100_1000_2000_4000_ms_and_every_minute() {
    let mut announcer = announcer();
    announcer.update(at(0), view(&[vip("192.168.2.200")], &[eth0(3)]));
    let mut told = Vec::new();
    let mut now = at(0);
    while now < at(130_000) {
        let frames = operations(&drain(&mut announcer));
        if !frames.is_empty() {
            assert_eq!(frames, [1, 2], "one request and one reply at {now:?}");
            told.push(now.as_millis());
        }
        now = announcer.next_wakeup().expect("a VIP is held");
        announcer.advance(now);
    }
    assert_eq!(told, [0, 100, 1000, 2000, 4000, 64_000, 124_000]);
}

#[test]
fn renews_four_times_per_lease() {
    let mut announcer = announcer();
    announcer.update(at(0), view(&[vip("192.168.2.200")], &[eth0(3)]));
    drain(&mut announcer);
    announcer.advance(at(249));
    assert_eq!(drain(&mut announcer).len(), 2, "the call at 100 ms only");
    announcer.advance(at(250));
    assert_eq!(drain(&mut announcer), [answer("192.168.2.200", 3, 1250)]);
}

#[test]
fn expired_address_is_won_again_and_told_again() {
    let mut announcer = announcer();
    announcer.update(at(0), view(&[vip("192.168.2.200")], &[eth0(3)]));
    announcer.advance(at(500));
    drain(&mut announcer);
    announcer.advance(at(1500));
    let commands = drain(&mut announcer);
    assert_eq!(announcer.owners(at(0))[0].since, at(1500));
    assert_eq!(commands.first(), Some(&answer("192.168.2.200", 3, 2500)));
    assert_eq!(operations(&commands), [1, 2]);
    announcer.advance(at(1600));
    assert_eq!(operations(&drain(&mut announcer)), [1, 2], "a whole burst");
}

#[test]
fn silences_a_vip_that_is_gone() {
    let mut announcer = announcer();
    let both = [vip("192.168.2.200"), vip("192.168.2.201")];
    announcer.update(at(0), view(&both, &[eth0(3)]));
    drain(&mut announcer);
    announcer.update(at(10), view(&both[1..], &[eth0(3)]));
    assert_eq!(drain(&mut announcer), [silence("192.168.2.200", 3)]);
}

#[test]
fn interface_that_comes_back_is_answered_and_told_again() {
    let mut announcer = announcer();
    let vips = [vip("192.168.2.200")];
    announcer.update(at(0), view(&vips, &[eth0(3)]));
    drain(&mut announcer);
    announcer.update(at(10), view(&vips, &[]));
    assert_eq!(drain(&mut announcer), [silence("192.168.2.200", 3)]);
    assert_eq!(
        decision(&announcer),
        Decision::Withhold(Reason::NoInterface)
    );
    announcer.update(at(20), view(&vips, &[eth0(9)]));
    let commands = drain(&mut announcer);
    assert_eq!(commands.first(), Some(&answer("192.168.2.200", 9, 1020)));
    assert_eq!(operations(&commands), [1, 2]);
}

#[test]
fn changed_mac_is_told_again() {
    let mut announcer = announcer();
    let vips = [vip("192.168.2.200")];
    announcer.update(at(0), view(&vips, &[eth0(3)]));
    drain(&mut announcer);
    let mut changed = eth0(3);
    changed.mac = Mac([2, 0, 0, 0, 0, 99]);
    announcer.update(at(10), view(&vips, &[changed]));
    assert_eq!(operations(&drain(&mut announcer)), [1, 2]);
}

#[test]
fn same_view_again_says_nothing() {
    let mut announcer = announcer();
    let vips = [vip("192.168.2.200")];
    announcer.update(at(0), view(&vips, &[eth0(3)]));
    drain(&mut announcer);
    announcer.update(at(10), view(&vips, &[eth0(3)]));
    assert_eq!(drain(&mut announcer), []);
}

#[test]
fn node_with_peers_withholds_and_stops_answering() {
    let mut announcer = announcer();
    let vips = [vip("192.168.2.200")];
    announcer.update(at(0), view(&vips, &[eth0(3)]));
    drain(&mut announcer);
    let peers = [NodeName("node-1".into()), NodeName("node-2".into())];
    let interfaces = [eth0(3)];
    let crowded = View {
        peers: &peers,
        ..view(&vips, &interfaces)
    };
    announcer.update(at(10), crowded);
    assert_eq!(drain(&mut announcer), [silence("192.168.2.200", 3)]);
    assert_eq!(
        decision(&announcer),
        Decision::Withhold(Reason::NoMembership)
    );
    let alone = View {
        peers: &peers[..1],
        ..crowded
    };
    announcer.update(at(20), alone);
    assert_eq!(
        decision(&announcer),
        Decision::Announce,
        "itself is no peer"
    );
}

#[test]
fn chooses_interfaces_by_name_or_else_by_subnet() {
    let mut other = eth0(4);
    other.name = "eth1".into();
    other.addresses = vec!["10.0.0.1/24".parse().unwrap()];
    for (named, expected) in [
        (vec![], vec!["eth0"]),
        (vec!["eth1"], vec!["eth1"]),
        (vec!["eth0", "eth1"], vec!["eth0", "eth1"]),
    ] {
        let mut pools = pools();
        pools[0].interfaces = named.into_iter().map(String::from).collect();
        let mut announcer = announcer();
        announcer.update(
            at(0),
            View {
                vips: &[vip("192.168.2.200")],
                pools: &pools,
                services: &[],
                interfaces: &[eth0(3), other.clone()],
                peers: &[],
                rules: &RULES,
                witnesses: &[],
                part: None,
            },
        );
        assert_eq!(announcer.owners(at(0))[0].interfaces, expected);
    }
}

#[test]
fn withholds_what_it_can_not_answer_and_says_why() {
    let mut stray = vip("192.168.2.200");
    stray.pool = "none".into();
    for (vip, reason) in [
        (vip("fd00:3::1"), Reason::NoInterface),
        (vip("172.16.0.1"), Reason::NoInterface),
        (stray, Reason::UnknownPool),
    ] {
        let mut announcer = announcer();
        announcer.update(at(0), view(&[vip], &[eth0(3)]));
        assert_eq!(decision(&announcer), Decision::Withhold(reason));
        assert_eq!(drain(&mut announcer), []);
    }
}

/// A step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Update {
        vips: Vec<u8>,
        indices: Vec<u32>,
        peers: Vec<NodeName>,
    },
}

#[test]
fn nodes_with_endpoints_of_most_services_are_favoured_and_those_of_no_use_are_barred() {
    let names = ["a", "b", "c"].map(|it| NodeName(it.to_owned()));
    let names: BTreeSet<&NodeName> = names.iter().collect();
    let vip: IpAddr = "192.168.2.200".parse().expect("an address");
    let service = |port, nodes: &[&str]| Service {
        vip,
        port,
        protocol: Protocol::Tcp,
        listener: ListenerId {
            gateway: ObjectName::new("default", "gw"),
            section: port.to_string(),
        },
        target: ServiceTarget::Endpoints {
            endpoints: nodes
                .iter()
                .map(|node| WeightedEndpoint {
                    address: ([10, 0, 0, 1], 80).into(),
                    node: Some(NodeName((*node).to_owned())),
                    weight: 1,
                })
                .collect(),
            refused: 0,
        },
    };
    let ids = |names: &[&str]| {
        let ids = names
            .iter()
            .map(|it| NodeId::of(&NodeName((*it).to_owned())));
        ids.collect::<BTreeSet<_>>()
    };
    let expected = |favoured: &[&str], barred: &[&str]| {
        Some(Place {
            favoured: ids(favoured),
            barred: ids(barred),
        })
    };
    let place = |services: &[Service]| place(&names, vip, services);
    assert_eq!(place(&[]), None);
    assert_eq!(place(&[service(1, &[])]), None, "nobody has any");
    assert_eq!(place(&[service(1, &["a", "b", "c"])]), None);
    let one = service(1, &["b", "c"]);
    assert_eq!(
        place(std::slice::from_ref(&one)),
        expected(&["b", "c"], &["a"])
    );
    let both = [one.clone(), service(2, &["c", "a"])];
    assert_eq!(place(&both), expected(&["c"], &[]));
    let proxied = Service {
        target: ServiceTarget::Proxy,
        ..service(80, &[])
    };
    assert_eq!(place(&[one, proxied]), expected(&["b", "c"], &[]));
}

#[test]
fn a_node_says_that_it_serves_what_its_interfaces_allow() {
    use Serving::{Everything, Nothing, Part, Reserve};
    let vips = |fit: &[Fitness]| {
        let all = (1..).zip(fit);
        all.map(|(last, fit)| ([192, 168, 2, last].into(), *fit))
            .collect()
    };
    let (all, some, none) = (
        vips(&[Fitness::Fit, Fitness::Fit]),
        vips(&[Fitness::Fit, Fitness::Unfit]),
        vips(&[Fitness::Unfit]),
    );
    let said = [Everything, Reserve, Nothing]
        .map(|wanted| [&vips(&[]), &all, &some, &none].map(|vips| serving(wanted, vips)));
    assert_eq!(
        said,
        [
            [Everything, Everything, Part, Nothing],
            [Reserve, Reserve, Reserve, Nothing],
            [Nothing, Nothing, Nothing, Nothing],
        ]
    );
}

fn step() -> impl Strategy<Value = Step> {
    let update = (
        sample::subsequence(vec![200_u8, 201, 202], 0..=3),
        sample::subsequence(vec![3_u32, 4], 0..=2),
        prop_oneof![4 => Just(vec![]), 1 => Just(vec![NodeName("node-2".into())])],
    );
    prop_oneof![
        3 => (0_u64..3000).prop_map(Step::Wait),
        2 => update.prop_map(|(vips, indices, peers)| Step::Update { vips, indices, peers }),
    ]
}

proptest! {
    /// The kernel's entries, as the commands leave them, never outlive the evidence by more than the lease, exist for
    /// exactly what is owned, and no frame is sent for anything else.
    #[test]
    fn answers_only_what_it_owns_and_never_beyond_the_lease(
        steps in collection::vec(step(), 1..60)
    ) {
        let mut announcer = announcer();
        let mut kernel = BTreeMap::new();
        let mut now = at(1000);
        for step in steps {
            match step {
                Step::Wait(ms) => {
                    now += at(ms);
                    announcer.advance(now);
                }
                Step::Update { vips, indices, peers } => update(&mut announcer, now, &vips, &indices, &peers),
            }
            while let Some(command) = announcer.poll() {
                match command {
                    Command::Answer { address, interface, until, .. } => {
                        assert!(until <= now + LEASE);
                        kernel.insert((address, interface), until);
                    }
                    Command::Silence { address, interface } => {
                        assert!(kernel.remove(&(address, interface)).is_some());
                    }
                    Command::Send { interface, frame } => {
                        let address = IpAddr::from([frame[28], frame[29], frame[30], frame[31]]);
                        assert!(kernel.get(&(address, interface)).is_some_and(|until| *until > now));
                    }
                }
            }
            let owned: Vec<IpAddr> = announcer
                .owners(at(0))
                .into_iter()
                .filter(|ownership| ownership.decision == Decision::Announce)
                .map(|ownership| ownership.vip)
                .collect();
            let mut answered: Vec<IpAddr> = kernel.keys().map(|(address, _)| *address).collect();
            answered.dedup();
            assert_eq!(owned, answered);
            assert!(announcer.next_wakeup().is_none_or(|wakeup| wakeup > now));
        }
    }
}

fn update(
    announcer: &mut Announcer,
    now: Duration,
    vips: &[u8],
    indices: &[u32],
    peers: &[NodeName],
) {
    let vips: Vec<Vip> = vips
        .iter()
        .map(|last| vip(&format!("192.168.2.{last}")))
        .collect();
    let interfaces: Vec<Interface> = indices.iter().map(|index| eth0(*index)).collect();
    announcer.update(
        now,
        View {
            peers,
            rules: &RULES,
            witnesses: &[],
            part: None,
            vips: &vips,
            pools: &pools(),
            services: &[],
            interfaces: &interfaces,
        },
    );
}

fn announcer() -> Announcer {
    Announcer::new(Settings {
        lease: LEASE,
        first_use: Caution::None,
        ..Settings::new(NodeName("node-1".into()))
    })
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn vip(address: &str) -> Vip {
    Vip {
        address: address.parse().unwrap(),
        gateway: ObjectName::new("default", "main-gateway"),
        pool: "lan".into(),
        choice: Choice::Automatic,
    }
}

fn pools() -> Vec<Pool> {
    vec![Pool {
        name: "lan".into(),
        ranges: vec!["192.168.2.200-192.168.2.250".parse().unwrap()],
        interfaces: Vec::new(),
    }]
}

fn eth0(index: u32) -> Interface {
    Interface {
        name: "eth0".into(),
        index,
        mac: ETH0,
        addresses: vec!["192.168.2.10/24".parse().unwrap()],
    }
}

fn view<'a>(vips: &'a [Vip], interfaces: &'a [Interface]) -> View<'a> {
    static POOLS: std::sync::OnceLock<Vec<Pool>> = std::sync::OnceLock::new();
    View {
        vips,
        pools: POOLS.get_or_init(pools),
        services: &[],
        interfaces,
        peers: &[],
        rules: &RULES,
        witnesses: &[],
        part: None,
    }
}

fn drain(announcer: &mut Announcer) -> Vec<Command> {
    std::iter::from_fn(|| announcer.poll()).collect()
}

fn decision(announcer: &Announcer) -> Decision {
    announcer.owners(at(0))[0].decision
}

fn answer(address: &str, interface: u32, until_ms: u64) -> Command {
    Command::Answer {
        address: address.parse().unwrap(),
        interface,
        mac: ETH0,
        until: at(until_ms),
    }
}

fn silence(address: &str, interface: u32) -> Command {
    Command::Silence {
        address: address.parse().unwrap(),
        interface,
    }
}

/// The ARP operations of the frames among the commands, in order.
fn operations(commands: &[Command]) -> Vec<u8> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Send { frame, .. } => Some(frame[21]),
            Command::Answer { .. } | Command::Silence { .. } => None,
        })
        .collect()
}
