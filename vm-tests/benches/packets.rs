//! Nanoseconds per packet of the eBPF programs, beside a program that does nothing, through BPF_PROG_TEST_RUN.
//!
//! Rounds go through all cases in turn, on one core, so that a change of the machine's speed meets all of them; of the
//! rounds it prints minimum and median. A rewritten packet would be another one in the next run, so the steered cases
//! have the VIP itself as their endpoint: all the work is done and the packet stays the same. First packets of
//! connections differ in their port, one run each: these rows are to be compared with the floor of single runs.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use gateway_ir::{
    Choice, Interface, ListenerId, Mac, NodeName, ObjectName, Protocol, Service, ServiceTarget,
    Snapshot, Vip, WeightedEndpoint,
};
use gateway_l4::{Datapath, Program, Settings};
use gateway_vm_tests::packet::{ACK, SYN, eth};
use gateway_vm_tests::skips;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

const ROUNDS: usize = 25;
const RUNS: u32 = 100_000;
const SINGLE_RUNS: u16 = 2000;

const NODE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 2];
const C: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 7);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 200);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 5);
const C6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 7);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xc8);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 5);

/// One row of the table.
struct Row {
    name: &'static str,
    program: Program,
    packets: Packets,
    nanoseconds: Vec<f64>,
}

enum Packets {
    /// The same one, many times in one call.
    Repeated(Vec<u8>),
    /// A SYN from another port for each call.
    Syns,
    /// One packet, one run for each call.
    Single(Vec<u8>),
}

fn main() -> anyhow::Result<ExitCode> {
    // Cargo passes its own arguments, of which none matters here.
    if skips("bench packets") {
        return Ok(ExitCode::SUCCESS);
    }
    stay_on_one_core()?;
    let root = std::env::temp_dir().join(format!("sanmon-bench-{}", std::process::id()));
    let (mut datapath, _answers) = Datapath::open(&Settings {
        bpf_root: root,
        node: NodeName("here".to_owned()),
    })?;
    let measured = measure(&mut datapath);
    datapath.remove()?;
    print(&measured?);
    Ok(ExitCode::SUCCESS)
}

fn measure(datapath: &mut Datapath) -> anyhow::Result<Vec<Row>> {
    configure(datapath)?;
    let mut rows = rows();
    for row in &rows {
        // Two packets make a flow last.
        if let Packets::Repeated(frame) = &row.packets {
            datapath.try_packet(row.program, frame, 2)?;
        }
    }
    let mut port = 1024;
    for _round in 0..ROUNDS {
        for row in &mut rows {
            let nanoseconds = match &row.packets {
                Packets::Repeated(frame) => run(datapath, row.program, frame, RUNS)?,
                Packets::Single(frame) => {
                    let mut sum = 0.0;
                    for _run in 0..SINGLE_RUNS {
                        sum += run(datapath, row.program, frame, 1)?;
                    }
                    sum / f64::from(SINGLE_RUNS)
                }
                Packets::Syns => {
                    let mut sum = 0.0;
                    for _run in 0..SINGLE_RUNS {
                        port = if port == u16::MAX { 1024 } else { port + 1 };
                        let syn = eth(CLIENT, NODE).ipv4(C, VIP).tcp(port, 80, SYN).build();
                        sum += run(datapath, row.program, &syn, 1)?;
                    }
                    sum / f64::from(SINGLE_RUNS)
                }
            };
            row.nanoseconds.push(nanoseconds);
        }
    }
    Ok(rows)
}

fn rows() -> Vec<Row> {
    let row = |name, program, packets| Row {
        name,
        program,
        packets,
        nanoseconds: Vec::new(),
    };
    let other = || eth(CLIENT, NODE).ipv4(C, HOST).tcp(4000, 80, ACK).build();
    let tcp = || eth(CLIENT, NODE).ipv4(C, VIP).tcp(4000, 80, ACK).build();
    let udp = || eth(CLIENT, NODE).ipv4(C, VIP).udp(4000, 53, b"12345678");
    let to_v6 = |address| {
        eth(CLIENT, NODE)
            .ipv6(C6, address)
            .tcp(4000, 80, ACK)
            .build()
    };
    let repeated = |name, program, frame| row(name, program, Packets::Repeated(frame));
    vec![
        repeated("floor", Program::Floor, other()),
        repeated("xdp: not a VIP, passed", Program::Xdp, other()),
        repeated("xdp: TCP, known flow", Program::Xdp, tcp()),
        repeated("xdp: UDP, known flow", Program::Xdp, udp()),
        repeated("tc: not a VIP, passed", Program::Ingress, other()),
        repeated("tc: TCP, known flow", Program::Ingress, tcp()),
        repeated("tc: UDP, known flow", Program::Ingress, udp()),
        repeated("tc egress: no reply", Program::Egress, other()),
        repeated("xdp: IPv6, not a VIP", Program::Xdp, to_v6(HOST6)),
        repeated("xdp: TCP over IPv6, known flow", Program::Xdp, to_v6(VIP6)),
        repeated("tc: IPv6, not a VIP", Program::Ingress, to_v6(HOST6)),
        repeated(
            "tc: TCP over IPv6, known flow",
            Program::Ingress,
            to_v6(VIP6),
        ),
        repeated("tc egress: IPv6, no reply", Program::Egress, to_v6(HOST6)),
        row(
            "single runs: floor",
            Program::Floor,
            Packets::Single(other()),
        ),
        row(
            "single runs: xdp: TCP, known flow",
            Program::Xdp,
            Packets::Single(tcp()),
        ),
        row(
            "single runs: xdp: SYN, new flow",
            Program::Xdp,
            Packets::Syns,
        ),
    ]
}

fn configure(datapath: &mut Datapath) -> anyhow::Result<()> {
    datapath.introduce(&Interface {
        name: "lo".to_owned(),
        index: 1,
        mac: Mac(NODE),
        addresses: Vec::new(),
    })?;
    let gateway = ObjectName::new("default", "gateway");
    let service = |vip: IpAddr, port, protocol| Service {
        vip,
        port,
        protocol,
        listener: ListenerId {
            gateway: gateway.clone(),
            section: "listener".to_owned(),
        },
        target: ServiceTarget::Endpoints {
            endpoints: vec![WeightedEndpoint {
                address: (vip, port).into(),
                node: None,
                weight: 1,
            }],
            refused: 0,
        },
    };
    let vip = |address| Vip {
        address,
        gateway: gateway.clone(),
        pool: "lan".to_owned(),
        choice: Choice::Automatic,
    };
    datapath.apply(&Snapshot {
        vips: vec![vip(VIP.into()), vip(VIP6.into())],
        services: vec![
            service(VIP.into(), 53, Protocol::Udp),
            service(VIP.into(), 80, Protocol::Tcp),
            service(VIP6.into(), 80, Protocol::Tcp),
        ],
        ..Snapshot::default()
    })?;
    Ok(())
}

fn run(datapath: &Datapath, program: Program, frame: &[u8], runs: u32) -> anyhow::Result<f64> {
    // The kernel gives whole nanoseconds of one run.
    let trial = datapath.try_packet(program, frame, runs)?;
    Ok(f64::from(u32::try_from(trial.duration.as_nanos())?))
}

fn stay_on_one_core() -> anyhow::Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let last = (0..CpuSet::count())
        .rev()
        .find(|cpu| allowed.is_set(*cpu).unwrap_or(false))
        .ok_or_else(|| anyhow!("no core to run on"))?;
    let mut one = CpuSet::new();
    one.set(last)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("cannot stay on one core")
}

fn print(rows: &[Row]) {
    println!("ns per packet, {ROUNDS} rounds");
    println!("{:<36} {:>8} {:>8}", "", "minimum", "median");
    for row in rows {
        let mut sorted = row.nanoseconds.clone();
        sorted.sort_by(f64::total_cmp);
        let minimum = sorted.first().copied().unwrap_or_default();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        println!("{:<36} {minimum:>8.0} {median:>8.0}", row.name);
    }
}
