//! What heartbeats cost a node that is a voter, and so hears and answers all others: these are simulated, by the same state
//! machines, in one process that speaks for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use gateway_announce::membership::heartbeat::{Heartbeat, NodeId, Serving};
use gateway_announce::membership::terms::Terms;
use gateway_announce::membership::{Fitness, Identity, Membership, Scene};
use gateway_announce::wire::{self, Keys, PORT};
use gateway_ir::NodeName;
use gateway_vm_tests::bed::{PATIENCE, VIP};
use gateway_vm_tests::folder::Folder;
use gateway_vm_tests::lan::NIC;
use gateway_vm_tests::nodes::{config, secret};
use gateway_vm_tests::sanmon::{self, Options};
use gateway_vm_tests::{Host, Lan, Sanmon, netlink};
use ipnet::IpNet;
use nix::sys::socket::{setsockopt, sockopt};

/// How long is measured.
const QUIET: Duration = Duration::from_secs(10);
const KEY: &str = "a key that all nodes have";
/// As many as the product lets vote.
const VOTERS: usize = 5;
/// Datagrams that are read before the others speak again.
const READS_MAX: usize = 256;
/// Some of the longest heartbeats to each of the others.
const BUFFER_BYTES: usize = 64 << 20;
/// The names sort as the numbers do, so that the real node is a voter.
const REAL: u16 = 1;

/// The head of the table.
pub(crate) fn heading() {
    println!("a voter at rest, a heartbeat every 100 ms");
    println!(
        "{:>6}{:>14}{:>14}{:>14}{:>12}",
        "nodes", "% of a core", "in, kbit/s", "out, kbit/s", "heard"
    );
}

/// Prints a row: one real node beside so many simulated ones that the LAN has `count`.
pub(crate) fn measure(count: u16) -> anyhow::Result<()> {
    let lan = Lan::new()?;
    let peers = lan.host("peers", "192.168.2.20/24".parse()?)?;
    let host = lan.host("node-001", "192.168.2.11/24".parse()?)?;
    host.make_node()?;
    give(&host, REAL..=REAL)?;
    give(&peers, REAL + 1..=count)?;
    let folder = Folder::new()?;
    folder.write("config.yaml", &config(""))?;
    folder.write("key.yaml", &secret(KEY))?;
    let nodes: String = (1..=count).map(node_yaml).collect();
    folder.write("nodes.yaml", &nodes)?;
    let options = Options {
        program: sanmon::binary(),
        config: folder.path().to_owned(),
        node: name(REAL),
        bpf_root: sanmon::unique_bpf_root(),
        admin: sanmon::ADMIN,
        log: folder.beside("log"),
        more: vec!["--workers".into(), "1".into()],
    };
    let stop = Stop(Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop.0);
    let crowd = peers
        .namespace
        .spawn(move || async move { crowd(count, &stopped) });
    let mut process = Sanmon::start(&host.namespace, &options)?;
    process.wait_ready(&host.namespace, PATIENCE)?;
    // All of them have found each other by then.
    std::thread::sleep(Duration::from_secs(2));
    let before = (cpu(process.pid())?, bytes(&host)?, Instant::now());
    std::thread::sleep(QUIET);
    let (used, (rx, tx)) = (cpu(process.pid())?.saturating_sub(before.0), bytes(&host)?);
    let seconds = before.2.elapsed().as_secs_f64();
    drop(stop);
    let heard = crowd.join(PATIENCE)?;
    let kbit = |now: f64, before: f64| (now - before) * 8.0 / 1000.0 / seconds;
    println!(
        "{count:>6}{:>14.2}{:>14.0}{:>14.0}{:>12}",
        used.as_secs_f64() / seconds * 100.0,
        kbit(rx, before.1.0),
        kbit(tx, before.1.1),
        format!("{heard}/{}", count - 1)
    );
    Ok(())
}

/// Ends the crowd, also when something fails: its namespace waits for it.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Speaks for all nodes but the real one until it is told to stop; gives how many of them have heard the real one.
fn crowd(count: u16, stop: &AtomicBool) -> anyhow::Result<usize> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    // A beat of the real node comes at once for all of them, who would have a socket each.
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES)?;
    let keys = Keys::new(KEY.as_bytes(), None)?;
    let start = Instant::now();
    // A clock that has run for a while, as every machine's has.
    let now = || Duration::from_secs(60) + start.elapsed();
    let mut all: BTreeMap<NodeId, Membership> = (REAL + 1..=count)
        .map(|number| (id(number), member(number, count, now())))
        .collect();
    let (real, mut buffer) = ((address(REAL), PORT), vec![0; wire::BYTES_MAX]);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..READS_MAX {
            let Ok(length) = socket.recv(&mut buffer) else {
                // Nothing more for now.
                break;
            };
            let datagram = buffer.get(..length).unwrap_or_default();
            if let Ok(heartbeat) = wire::decode(datagram, &keys)
                && let Some(member) = all.get_mut(&heartbeat.to)
            {
                member.hear(now(), &heartbeat);
            }
        }
        let mut said: Vec<Heartbeat> = Vec::new();
        for member in all.values_mut() {
            if member.next_wakeup() <= now() {
                member.advance(now());
            }
            said.extend(std::iter::from_fn(|| member.poll()));
        }
        for heartbeat in said {
            match all.get_mut(&heartbeat.to) {
                Some(member) => member.hear(now(), &heartbeat),
                None => drop(socket.send_to(&wire::encode(&heartbeat, &keys), real)?),
            }
        }
    }
    let has_heard = |member: &&Membership| member.heard(now()).any(|it| it.node == id(REAL));
    Ok(all.values().filter(has_heard).count())
}

/// A node that can not answer for the VIP itself.
fn member(number: u16, count: u16, now: Duration) -> Membership {
    let nodes: BTreeSet<NodeId> = (1..=count).map(id).collect();
    let scene = Scene {
        voters: (1..=count).take(VOTERS).map(id).collect(),
        nodes,
        vips: [(IpAddr::V4(VIP), Fitness::Unfit)].into(),
        serving: Serving::Nothing,
        terms: Terms::default(),
        ..Scene::default()
    };
    let identity = Identity {
        node: id(number),
        incarnation: 1,
    };
    Membership::new(now, identity, scene)
}

fn id(number: u16) -> NodeId {
    NodeId::of(&NodeName(name(number)))
}

fn name(number: u16) -> String {
    format!("node-{number:03}")
}

/// Where a node is heard, beside the LAN of the VIPs.
fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 9, high, low)
}

fn give(host: &Host, numbers: std::ops::RangeInclusive<u16>) -> anyhow::Result<()> {
    host.namespace.run(move || async move {
        for number in numbers {
            let address = IpNet::new(address(number).into(), 16)?;
            netlink::address(NIC, address).await?;
        }
        Ok(())
    })
}

fn node_yaml(number: u16) -> String {
    format!(
        "apiVersion: v1
kind: Node
metadata: {{name: {}}}
status: {{addresses: [{{type: InternalIP, address: {}}}]}}
---
",
        name(number),
        address(number)
    )
}

/// What has come in and gone out of a host, in bytes.
fn bytes(host: &Host) -> anyhow::Result<(f64, f64)> {
    host.namespace.run(|| async {
        let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
        let line = text.lines().find_map(|it| it.trim().strip_prefix(NIC));
        let line = line.context("no such interface")?.trim_start_matches(':');
        let numbers: Vec<f64> = line
            .split_whitespace()
            .filter_map(|it| it.parse().ok())
            .collect();
        let at = |place: usize| numbers.get(place).copied().context("a short line");
        Ok((at(0)?, at(8)?))
    })
}

/// The CPU time that a process has used, in kernel ticks of 10 ms: fields 14 and 15 of its stat.
fn cpu(process: i32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold spaces.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let fields = rest.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|it| it.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
