//! What packet cases run on: a datapath of their own with one configuration, and the check of verdict, bytes and
//! counter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gateway_ir::{
    Choice, Interface, ListenerId, Mac, NodeName, ObjectName, Pool, Protocol, Service,
    ServiceTarget, Snapshot, Vip, WeightedEndpoint,
};
use gateway_l4::{Counter, Datapath, Program, Settings, Verdict};

/// The node.
pub(crate) const NODE: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The client.
pub(crate) const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// A third machine.
pub(crate) const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 3];
pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];
pub(crate) const ANNOUNCED: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// The client's address.
pub(crate) const C: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 7);
/// An announced VIP that this node answers for.
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 200);
/// An announced VIP whose permission to answer has expired.
pub(crate) const EXPIRED: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 201);
/// A second VIP with the same endpoint behind port 80.
pub(crate) const TWIN: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 202);
/// An address of the pool that nobody uses.
pub(crate) const FREE: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 210);
/// An address outside of the pool.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 5);
/// The one endpoint of VIP:80/TCP (port 8080) and VIP:53/UDP (port 5353).
pub(crate) const POD: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 4);

/// The client's address.
pub(crate) const C6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 7);
/// An announced VIP that this node answers for.
pub(crate) const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xc8);
/// An announced VIP whose permission to answer has expired.
pub(crate) const EXPIRED6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xc9);
/// A second VIP with the same endpoint behind port 80.
pub(crate) const TWIN6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xca);
/// An address of the pool that nobody uses.
pub(crate) const FREE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xd2);
/// An address outside of the pool.
pub(crate) const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 5);
/// The one endpoint of VIP6:80/TCP (port 8080) and VIP6:53/UDP (port 5353).
pub(crate) const POD6: Ipv6Addr = Ipv6Addr::new(0xfd00, 10, 1, 0, 0, 0, 0, 4);

/// Loopback: where trial runs come in.
const LOOPBACK: u32 = 1;

/// A loaded datapath that is attached to nothing.
pub(crate) struct Bench {
    pub(crate) datapath: Option<Datapath>,
    root: PathBuf,
}

impl Bench {
    /// Opens one with the configuration that the cases are written for.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root =
            std::env::temp_dir().join(format!("sanmon-case-{}-{number}", std::process::id()));
        let settings = Settings {
            bpf_root: root.clone(),
            node: NodeName("here".to_owned()),
        };
        let (mut datapath, mut answers) =
            Datapath::open(&settings).expect("the datapath opens as root");
        datapath
            .introduce(&Interface {
                name: "lo".to_owned(),
                index: LOOPBACK,
                mac: Mac(NODE),
                addresses: Vec::new(),
            })
            .expect("the port is known");
        let (never, past) = (Duration::MAX, Duration::from_nanos(1));
        let permitted: [(IpAddr, Duration); 4] = [
            (VIP.into(), never),
            (EXPIRED.into(), past),
            (VIP6.into(), never),
            (EXPIRED6.into(), past),
        ];
        for (address, until) in permitted {
            answers
                .answer(address, LOOPBACK, Mac(ANNOUNCED), until)
                .expect("an answer");
        }
        let mut bench = Self {
            datapath: Some(datapath),
            root,
        };
        bench.apply(&snapshot());
        bench
    }

    pub(crate) fn apply(&mut self, snapshot: &Snapshot) {
        let datapath = self.datapath.as_mut().expect("open until dropped");
        datapath.apply(snapshot).expect("the snapshot fits");
    }

    /// The directory of the maps' pins.
    pub(crate) fn maps(&self) -> PathBuf {
        let versions = std::fs::read_dir(&self.root).expect("the pins' root");
        let version = versions.flatten().next().expect("one version");
        version.path().join("maps")
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.counters().packets(counter)
    }

    pub(crate) fn counters(&self) -> gateway_l4::Counters {
        let datapath = self.datapath.as_ref().expect("open until dropped");
        datapath.counters().expect("counters")
    }

    /// Runs one packet and gives verdict and packet.
    pub(crate) fn run(&self, program: Program, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let datapath = self.datapath.as_ref().expect("open until dropped");
        let trial = datapath.try_packet(program, frame, 1).expect("a trial run");
        let verdict = match (program, trial.returned) {
            (Program::Xdp | Program::Floor, 2) => Verdict::Pass,
            (Program::Xdp | Program::Floor, 1) => Verdict::Drop,
            (Program::Xdp | Program::Floor, 3) => Verdict::Reflect,
            (Program::Ingress | Program::Egress, u32::MAX) => Verdict::Pass,
            (Program::Ingress | Program::Egress, 2) => Verdict::Drop,
            (Program::Ingress, 7) => Verdict::Reflect,
            (program, returned) => panic!("{program:?} returned {returned}"),
        };
        (verdict, trial.frame)
    }

    /// Runs a case and holds verdict, bytes and counters against what it promises.
    pub(crate) fn check(&self, program: Program, case: &Case) {
        let before = self.counters();

        let (verdict, frame) = self.run(program, &case.input);

        let what = format!("{program:?}: {}", case.name);
        let counted: Vec<Counter> = self
            .counters()
            .reasons
            .iter()
            .zip(&before.reasons)
            .flat_map(|((counter, after), (_, before))| {
                vec![*counter; usize::try_from(after - before).expect("few")]
            })
            .collect();
        assert_eq!(counted, [case.counter], "{what}: counted");
        assert_eq!(verdict, case.counter.verdict(), "{what}: verdict");
        if let Some(output) = &case.output {
            assert_eq!(hex(&frame), hex(output), "{what}: bytes");
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let removed = self.datapath.take().map(Datapath::remove);
        if !std::thread::panicking() {
            assert!(matches!(removed, None | Some(Ok(()))), "{removed:?}");
        }
    }
}

/// A packet with what must happen to it.
#[derive(Clone)]
pub(crate) struct Case {
    name: &'static str,
    input: Vec<u8>,
    counter: Counter,
    output: Option<Vec<u8>>,
}

/// Starts a case.
pub(crate) fn case(name: &'static str, input: Vec<u8>) -> Expectation {
    Expectation { name, input }
}

/// A case without its promise.
pub(crate) struct Expectation {
    name: &'static str,
    input: Vec<u8>,
}

impl Expectation {
    /// The packet is counted so, and leaves as these bytes.
    pub(crate) fn becomes(self, counter: Counter, output: Vec<u8>) -> Case {
        Case {
            name: self.name,
            input: self.input,
            counter,
            output: Some(output),
        }
    }

    /// The packet is counted so, and not one bit of it changes.
    pub(crate) fn stays(self, counter: Counter) -> Case {
        let output = self.input.clone();
        self.becomes(counter, output)
    }
}

/// Runs cases on both ways in, each on a datapath of its own.
pub(crate) fn check_both_ways_in(test: &str, cases: &[Case]) {
    check(test, &[Program::Xdp, Program::Ingress], cases);
}

/// Runs cases on programs, each on a datapath of its own.
pub(crate) fn check(test: &str, programs: &[Program], cases: &[Case]) {
    if gateway_vm_tests::skips(test) {
        return;
    }
    for program in programs {
        let bench = Bench::new();
        for case in cases {
            bench.check(*program, case);
        }
    }
}

/// The configuration that the cases are written for.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        vips: [VIP, EXPIRED, TWIN]
            .map(vip)
            .into_iter()
            .chain([VIP6, EXPIRED6, TWIN6].map(vip))
            .collect(),
        pools: vec![Pool {
            name: "lan".to_owned(),
            ranges: ["192.168.2.200-192.168.2.250", "fd00:2::/120"]
                .map(|range| range.parse().expect("a range"))
                .to_vec(),
            interfaces: Vec::new(),
        }],
        services: [services(VIP, TWIN, POD), services(VIP6, TWIN6, POD6)].concat(),
        ..Snapshot::default()
    }
}

/// The same services in either family.
fn services<A: Into<IpAddr> + Copy>(vip: A, twin: A, pod: A) -> Vec<Service> {
    vec![
        service(vip, 53, Protocol::Udp, steered(&[(pod, 5353, "here")])),
        service(vip, 80, Protocol::Tcp, steered(&[(pod, 8080, "here")])),
        service(vip, 81, Protocol::Tcp, steered::<A>(&[])),
        service(vip, 81, Protocol::Udp, steered::<A>(&[])),
        service(vip, 82, Protocol::Tcp, steered(&[(pod, 8082, "there")])),
        service(vip, 443, Protocol::Tcp, ServiceTarget::Proxy),
        service(twin, 80, Protocol::Tcp, steered(&[(pod, 8080, "here")])),
    ]
}

pub(crate) fn service(
    vip: impl Into<IpAddr>,
    port: u16,
    protocol: Protocol,
    target: ServiceTarget,
) -> Service {
    Service {
        vip: vip.into(),
        port,
        protocol,
        listener: ListenerId {
            gateway: ObjectName::new("default", "gateway"),
            section: format!("port-{port}"),
        },
        target,
    }
}

pub(crate) fn steered<A: Into<IpAddr> + Copy>(endpoints: &[(A, u16, &str)]) -> ServiceTarget {
    let endpoint = |(address, port, node): &(A, u16, &str)| WeightedEndpoint {
        address: ((*address).into(), *port).into(),
        node: Some(NodeName((*node).to_owned())),
        weight: 1,
    };
    ServiceTarget::Endpoints {
        endpoints: endpoints.iter().map(endpoint).collect(),
        refused: 0,
    }
}

fn vip(address: impl Into<IpAddr>) -> Vip {
    Vip {
        address: address.into(),
        gateway: ObjectName::new("default", "gateway"),
        pool: "lan".to_owned(),
        choice: Choice::Automatic,
    }
}

fn hex(bytes: &[u8]) -> String {
    let byte = |byte: &u8| format!("{byte:02x}");
    bytes.iter().map(byte).collect::<Vec<_>>().join(" ")
}
