//! Several nodes on a LAN: exactly one answers for the VIP, whatever happens to it, and another one soon.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gateway_vm_tests::bed::{PATIENCE, VIP};
use gateway_vm_tests::folder::Folder;
use gateway_vm_tests::frame::Arp;
use gateway_vm_tests::lan::NIC;
use gateway_vm_tests::netlink::{self, Mac};
use gateway_vm_tests::sanmon::{self, Options};
use gateway_vm_tests::{Capture, Host, Lan, Sanmon};
use nix::sys::signal::Signal;

/// Distance of the questions that the client asks all the time.
const PROBE: Duration = Duration::from_millis(5);
/// The promise is a second; a busy machine that freezes all parts of the test at once is not what is tested.
const GAP_MAX: Duration = Duration::from_millis(2000);
/// The same for a move that was planned: 50 ms are promised.
const PLANNED_GAP_MAX: Duration = Duration::from_millis(250);
/// How long is asked after something has happened.
const AFTER: Duration = Duration::from_millis(2500);

#[test]
fn killed_owner_is_replaced_within_a_second() -> anyhow::Result<()> {
    on_nodes("killed_owner_is_replaced_within_a_second", |nodes| {
        let owner = nodes.owner()?;
        let seen = nodes.probe(AFTER, || nodes.signal(owner, Signal::SIGKILL))?;
        seen.expect_one_change(nodes.mac(owner), GAP_MAX)
    })
}

#[test]
fn frozen_owner_is_replaced_and_stays_silent_when_it_thaws() -> anyhow::Result<()> {
    let test = "frozen_owner_is_replaced_and_stays_silent_when_it_thaws";
    on_nodes(test, |nodes| {
        let owner = nodes.owner()?;
        let frozen = nodes.probe(AFTER, || nodes.signal(owner, Signal::SIGSTOP))?;
        frozen.expect_one_change(nodes.mac(owner), GAP_MAX)?;
        let thawed = nodes.probe(AFTER, || nodes.signal(owner, Signal::SIGCONT))?;
        ensure!(
            thawed.macs().iter().all(|mac| *mac != nodes.mac(owner)),
            "the thawed node has answered"
        );
        thawed.expect_gap_below(GAP_MAX)
    })
}

#[test]
fn owner_that_is_cut_off_is_replaced_and_does_not_answer_beside_its_successor() -> anyhow::Result<()>
{
    let test = "owner_that_is_cut_off_is_replaced_and_does_not_answer_beside_its_successor";
    on_nodes(test, |nodes| {
        let owner = nodes.owner()?;
        let port = nodes.hosts[owner].namespace.name().to_owned();
        let name = port.clone();
        let cut = nodes.probe(AFTER, || {
            nodes
                .lan
                .switch()
                .run(move || async move { netlink::down(&name).await })
        })?;
        cut.expect_one_change(nodes.mac(owner), GAP_MAX)?;
        let healed = nodes.probe(AFTER, || {
            nodes
                .lan
                .switch()
                .run(move || async move { netlink::up(&port).await })
        })?;
        ensure!(
            healed.macs().iter().all(|mac| *mac != nodes.mac(owner)),
            "the node that was cut off has answered beside its successor"
        );
        Ok(())
    })
}

#[test]
fn terminated_owner_hands_over_without_a_gap() -> anyhow::Result<()> {
    on_nodes("terminated_owner_hands_over_without_a_gap", |nodes| {
        let owner = nodes.owner()?;
        let seen = nodes.probe(AFTER, || nodes.signal(owner, Signal::SIGTERM))?;
        seen.expect_gap_below(PLANNED_GAP_MAX)?;
        let last = *seen.macs().last().context("nobody answers")?;
        ensure!(
            last != nodes.mac(owner),
            "the node that ended still answers"
        );
        Ok(())
    })
}

#[test]
fn nodes_with_another_key_do_not_announce() -> anyhow::Result<()> {
    let test = "nodes_with_another_key_do_not_announce";
    on_nodes(test, |nodes| {
        for (number, folder) in nodes.folders.iter().enumerate() {
            folder.write("key.yaml", &secret(&format!("a key of its own {number}")))?;
        }
        let deadline = Instant::now() + PATIENCE;
        while nodes.who_has(Duration::from_millis(50)).is_ok() {
            ensure!(Instant::now() < deadline, "still answered");
        }
        loop {
            let page = nodes.processes[0].admin(&nodes.hosts[0].namespace, "/snapshot")?;
            let text = String::from_utf8_lossy(&page.body).into_owned();
            if text.contains("the same key") {
                break;
            }
            ensure!(Instant::now() < deadline, "{text}");
        }
        Ok(())
    })
}

/// Three nodes and a client.
struct Nodes {
    processes: Vec<Sanmon>,
    wire: Capture,
    client: Host,
    hosts: Vec<Host>,
    folders: Vec<Folder>,
    lan: Lan,
}

/// The answers to the questions of a while, in order.
struct Seen {
    answers: Vec<(Duration, Mac)>,
    until: Duration,
    since: Duration,
}

fn on_nodes(test: &str, body: impl FnOnce(&Nodes) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if gateway_vm_tests::skips(test) {
        return Ok(());
    }
    let nodes = Nodes::new()?;
    let Err(error) = body(&nodes) else {
        return Ok(());
    };
    let pcap = std::env::temp_dir().join(format!("sanmon-{}-{test}.pcap", std::process::id()));
    nodes.wire.write_pcap(&pcap)?;
    let logs: Vec<String> = nodes.processes.iter().map(Sanmon::log).collect();
    Err(error.context(format!(
        "frames: {}\n{}",
        pcap.display(),
        logs.join("\n---\n")
    )))
}

impl Nodes {
    fn new() -> anyhow::Result<Self> {
        let lan = Lan::new()?;
        let client = lan.host("client", "192.168.2.50/24".parse()?)?;
        let (mut hosts, mut folders, mut processes) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=3_u8 {
            let name = format!("node-{number}");
            let address = Ipv4Addr::new(192, 168, 2, 10 + number);
            let host = lan.host(&name, format!("{address}/24").parse()?)?;
            host.make_node()?;
            let folder = Folder::new()?;
            folder.write("config.yaml", CONFIG)?;
            folder.write("nodes.yaml", &nodes_yaml())?;
            folder.write("key.yaml", &secret("a key that all nodes have"))?;
            hosts.push(host);
            folders.push(folder);
        }
        for (host, folder) in hosts.iter().zip(&folders) {
            let options = Options {
                config: folder.path().to_owned(),
                node: host.namespace.name().to_owned(),
                bpf_root: sanmon::unique_bpf_root(),
                admin: sanmon::ADMIN,
                log: folder.beside("log"),
                more: vec!["--workers".into(), "1".into()],
            };
            processes.push(Sanmon::start(&host.namespace, &options)?);
        }
        for (process, host) in processes.iter_mut().zip(&hosts) {
            process.wait_ready(&host.namespace, PATIENCE)?;
        }
        let wire = Capture::start(&client.namespace, NIC)?;
        Ok(Self {
            processes,
            wire,
            client,
            hosts,
            folders,
            lan,
        })
    }

    fn mac(&self, number: usize) -> Mac {
        self.hosts.get(number).map_or([0; 6], |host| host.mac)
    }

    fn signal(&self, number: usize, signal: Signal) -> anyhow::Result<()> {
        let process = self.processes.get(number).context("no such node")?;
        process.signal(signal)
    }

    fn who_has(&self, timeout: Duration) -> anyhow::Result<Mac> {
        self.client.who_has(&self.wire, VIP, timeout)
    }

    fn owner(&self) -> anyhow::Result<usize> {
        let mac = self.who_has(PATIENCE)?;
        let found = self.hosts.iter().position(|host| host.mac == mac);
        found.context("a stranger answers")
    }

    /// Asks all the time, lets something happen soon after the start, and goes on for a while.
    fn probe(
        &self,
        length: Duration,
        happen: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Seen> {
        let question = Arp::who_has(VIP, (self.client.mac, self.client.address)).broadcast();
        let since = self.wire.now();
        let mut happen = Some(happen);
        while self.wire.now() < since + length {
            self.wire.send(&question)?;
            if self.wire.now() > since + Duration::from_millis(150)
                && let Some(happen) = happen.take()
            {
                happen()?;
            }
            std::thread::sleep(PROBE);
        }
        let answers = self.wire.frames().into_iter().filter(|it| it.at >= since);
        let answers = answers
            .filter_map(|frame| Some((frame.at, Arp::parse(&frame.bytes)?.answers(VIP)?)))
            .collect();
        Ok(Seen {
            answers,
            until: self.wire.now(),
            since,
        })
    }
}

impl Seen {
    /// Who has answered, one after the other.
    fn macs(&self) -> Vec<Mac> {
        let mut macs: Vec<Mac> = self.answers.iter().map(|it| it.1).collect();
        macs.dedup();
        macs
    }

    fn worst_gap(&self) -> Duration {
        let times: Vec<Duration> = std::iter::once(self.since)
            .chain(self.answers.iter().map(|it| it.0))
            .chain([self.until])
            .collect();
        let gaps = times.iter().zip(times.iter().skip(1));
        let gaps = gaps.map(|(one, next)| next.saturating_sub(*one));
        gaps.max().unwrap_or_default()
    }

    fn expect_gap_below(&self, most: Duration) -> anyhow::Result<()> {
        let gap = self.worst_gap();
        ensure!(gap < most, "nobody answered for {gap:?}");
        Ok(())
    }

    /// From one node to exactly one other, never back and forth.
    fn expect_one_change(&self, from: Mac, gap_max: Duration) -> anyhow::Result<()> {
        let macs = self.macs();
        ensure!(
            macs.len() == 2 && macs.first() == Some(&from),
            "the answers came from {macs:02x?}"
        );
        self.expect_gap_below(gap_max)
    }
}

fn secret(key: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: sanmon-membership, namespace: sanmon-system}}
stringData: {{key: {key}}}
"
    )
}

fn nodes_yaml() -> String {
    let node = |number: u8| {
        format!(
            "apiVersion: v1
kind: Node
metadata: {{name: node-{number}}}
status: {{addresses: [{{type: InternalIP, address: 192.168.2.1{number}}}]}}
---
"
        )
    };
    (1..=3).map(node).collect()
}

const CONFIG: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sanmon}
spec:
  controllerName: sanmon.dev/gateway-controller
  parametersRef: {group: sanmon.dev, kind: SanmonConfig, name: default}
---
apiVersion: sanmon.dev/v1alpha1
kind: SanmonConfig
metadata: {name: default}
spec:
  addressPools:
  - name: lan
    addresses: [\"192.168.2.200-192.168.2.250\"]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: main}
spec:
  gatewayClassName: sanmon
  addresses: [{type: IPAddress, value: 192.168.2.200}]
  listeners:
  - {name: http, protocol: HTTP, port: 80}
";
