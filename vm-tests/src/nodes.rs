//! Several nodes on a LAN that agree on one owner of the VIP, a client that asks for it all the time, and what can happen to
//! the nodes and the switch.

mod seen;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::bed::{PATIENCE, VIP};
use crate::bpf::Verdict;
use crate::folder::Folder;
use crate::frame::Arp;
use crate::lan::NIC;
use crate::netlink::{self, Hop, Mac};
use crate::sanmon::{self, Options};
use crate::{Capture, Host, Lan, Sanmon};

pub use self::seen::Seen;

/// The router of the LAN, and the only witness of two nodes.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 1);
/// How long is asked after a fault.
const FAILOVER_TIME: Duration = Duration::from_millis(2000);
/// Distance of the client's questions.
const PROBE: Duration = Duration::from_millis(5);

/// Nodes, a router and a client.
#[derive(Debug)]
pub struct Nodes {
    /// `sanmon run` on each node; they end before their namespaces.
    pub processes: Vec<Sanmon>,
    /// What passes the client's interface.
    pub wire: Capture,
    /// The client.
    pub client: Host,
    /// The router.
    pub router: Host,
    /// The nodes `node-1` and so on.
    pub hosts: Vec<Host>,
    /// The configuration of each.
    pub folders: Vec<Folder>,
    /// The switch.
    pub lan: Lan,
    options: Vec<Options>,
}

/// What can happen to the node that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process is killed.
    Kill,
    /// The process is stopped, and goes on later.
    Freeze,
    /// The cable is pulled.
    LinkDown,
    /// Its frames do not come out of the switch; it hears.
    Mute,
    /// Frames do not come in to it; it is heard.
    Deaf,
    /// It and the next node do not hear each other; all others hear both.
    Isolate,
    /// It is told to end.
    Terminate,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Kill,
        Self::Freeze,
        Self::LinkDown,
        Self::Mute,
        Self::Deaf,
        Self::Isolate,
        Self::Terminate,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "SIGKILL",
            Self::Freeze => "SIGSTOP, SIGCONT",
            Self::LinkDown => "link down",
            Self::Mute => "not heard",
            Self::Deaf => "hears nothing",
            Self::Isolate => "port isolation",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Runs a test on nodes of its own, or says that it is skipped. A failure names the logs and a pcap file.
///
/// # Errors
/// What the test returns.
pub fn on_nodes(
    test: &str,
    count: u8,
    body: impl FnOnce(&mut Nodes) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if crate::skips(test) {
        return Ok(());
    }
    let mut nodes = Nodes::new(count)?;
    let result = body(&mut nodes);
    nodes.explain(test, result)
}

impl Nodes {
    /// Builds the LAN and waits until every node is ready.
    ///
    /// # Errors
    /// When a part of it does not come up.
    pub fn new(count: u8) -> anyhow::Result<Self> {
        let mut nodes = Self::without_processes(count)?;
        for number in 0..usize::from(count) {
            nodes.start(number)?;
        }
        for number in 0..usize::from(count) {
            nodes.wait_ready(number)?;
        }
        Ok(nodes)
    }

    /// Builds the LAN; nothing runs on the nodes yet.
    ///
    /// # Errors
    /// When a part of it does not come up.
    pub fn without_processes(count: u8) -> anyhow::Result<Self> {
        let lan = Lan::new()?;
        let client = lan.host("client", "192.168.2.50/24".parse()?)?;
        let router = lan.host("router", format!("{ROUTER}/24").parse()?)?;
        router.namespace.sysctl("net/ipv4/ip_forward", "1")?;
        let (mut hosts, mut folders, mut options) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=count {
            let address = Ipv4Addr::new(192, 168, 2, 10 + number);
            let host = lan.host(&format!("node-{number}"), format!("{address}/24").parse()?)?;
            host.make_node()?;
            host.namespace.run(|| async {
                netlink::route("0.0.0.0/0".parse()?, Hop::Via(IpAddr::V4(ROUTER))).await
            })?;
            let folder = Folder::new()?;
            folder.write("config.yaml", &config(""))?;
            folder.write("nodes.yaml", &nodes_yaml(count.into(), &[]))?;
            folder.write("key.yaml", &secret("a key that all nodes have"))?;
            options.push(Options {
                program: sanmon::binary(),
                config: folder.path().to_owned(),
                node: host.namespace.name().to_owned(),
                bpf_root: sanmon::unique_bpf_root(),
                admin: sanmon::ADMIN,
                log: folder.beside("log"),
                more: vec!["--workers".into(), "1".into()],
            });
            hosts.push(host);
            folders.push(folder);
        }
        let wire = Capture::start(&client.namespace, NIC)?;
        Ok(Self {
            processes: Vec::new(),
            wire,
            client,
            router,
            hosts,
            folders,
            lan,
            options,
        })
    }

    /// Names the logs and a pcap file in the error of a test, if it has failed.
    ///
    /// # Errors
    /// What the test returned.
    pub fn explain<T>(&self, test: &str, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let logs = || {
            let logs: Vec<String> = self.processes.iter().map(Sanmon::log).collect();
            logs.join("\n---\n")
        };
        self.wire.explain(test, result.with_context(logs))
    }

    /// Has these nodes be cordoned, and no others.
    ///
    /// # Errors
    /// When a folder cannot be written.
    pub fn cordon(&self, cordoned: &[usize]) -> anyhow::Result<()> {
        let yaml = nodes_yaml(self.hosts.len(), cordoned);
        let mut folders = self.folders.iter();
        folders.try_for_each(|it| it.write("nodes.yaml", &yaml))
    }

    /// Starts `sanmon` on a node, also one whose process has ended.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn start(&mut self, number: usize) -> anyhow::Result<()> {
        let host = self.hosts.get(number).context("no such node")?;
        let options = self.options.get(number).context("no such node")?;
        let process = Sanmon::start(&host.namespace, options)?;
        match self.processes.get_mut(number) {
            Some(old) => *old = process,
            None => self.processes.push(process),
        }
        Ok(())
    }

    /// Lets processes that start from now on be found by those that start beside them.
    pub fn let_find(&mut self) {
        for (options, folder) in self.options.iter_mut().zip(&self.folders) {
            let place = folder.beside("run").into_os_string();
            options.more.extend(["--run-dir".into(), place]);
        }
    }

    /// Starts a successor of a node's process, which takes over from it.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn start_beside(&self, number: usize) -> anyhow::Result<Sanmon> {
        let host = self.hosts.get(number).context("no such node")?;
        let options = self.options.get(number).context("no such node")?;
        Sanmon::start(&host.namespace, options)
    }

    /// What a node is started with from now on.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn install(&mut self, number: usize, program: PathBuf) -> anyhow::Result<()> {
        let options = self.options.get_mut(number).context("no such node")?;
        options.program = program;
        Ok(())
    }

    /// Waits until a node is ready.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_ready(&mut self, number: usize) -> anyhow::Result<()> {
        let host = self.hosts.get(number).context("no such node")?;
        let process = self.processes.get_mut(number).context("no such node")?;
        process.wait_ready(&host.namespace, PATIENCE)
    }

    /// Waits until a page of a node says something.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_said(&mut self, number: usize, page: &str, text: &str) -> anyhow::Result<()> {
        let host = self.hosts.get(number).context("no such node")?;
        let process = self.processes.get_mut(number).context("no such node")?;
        process.wait_for(&host.namespace, page, PATIENCE, |reply| {
            String::from_utf8_lossy(&reply.body).contains(text)
        })
    }

    /// The Ethernet address of a node.
    pub fn mac(&self, number: usize) -> Mac {
        self.hosts.get(number).map_or([0; 6], |host| host.mac)
    }

    /// Sends a node's process a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, number: usize, signal: Signal) -> anyhow::Result<()> {
        let process = self.processes.get(number).context("no such node")?;
        process.signal(signal)
    }

    /// Asks for the VIP once.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub fn who_has(&self, timeout: Duration) -> anyhow::Result<Mac> {
        let deadline = Instant::now() + timeout;
        loop {
            // A question that comes while nobody answers is lost.
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self
                .client
                .who_has(&self.wire, VIP, left.min(Duration::from_millis(50)));
            if answer.is_ok() || left.is_zero() {
                return answer;
            }
        }
    }

    /// The node that answers.
    ///
    /// # Errors
    /// When none does.
    pub fn owner(&self) -> anyhow::Result<usize> {
        let mac = self.who_has(PATIENCE)?;
        let found = self.hosts.iter().position(|host| host.mac == mac);
        found.context("a stranger answers")
    }

    /// Lets a fault happen to a node.
    ///
    /// # Errors
    /// When it cannot be made to happen.
    pub fn inflict(&self, fault: Fault, number: usize) -> anyhow::Result<()> {
        let host = self.hosts.get(number).context("no such node")?;
        let port = host.namespace.name().to_owned();
        match fault {
            Fault::Kill => self.signal(number, Signal::SIGKILL),
            Fault::Freeze => self.signal(number, Signal::SIGSTOP),
            Fault::Terminate => self.signal(number, Signal::SIGTERM),
            Fault::LinkDown => {
                let switch = self.lan.switch();
                switch.run(move || async move { netlink::down(&port).await })
            }
            Fault::Mute => self.filter_port(number, Verdict::Drop),
            Fault::Deaf => self.filter_nic(number, Verdict::Drop),
            Fault::Isolate => self.isolate(number, "1"),
        }
    }

    /// Ends a fault. A process that ended is started again.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn repair(&mut self, fault: Fault, number: usize) -> anyhow::Result<()> {
        let host = self.hosts.get(number).context("no such node")?;
        let port = host.namespace.name().to_owned();
        match fault {
            Fault::Kill | Fault::Terminate => {
                let process = self.processes.get_mut(number).context("no such node")?;
                process.wait(PATIENCE)?;
                self.start(number)?;
            }
            Fault::Freeze => self.signal(number, Signal::SIGCONT)?,
            Fault::LinkDown => {
                let switch = self.lan.switch();
                switch.run(move || async move { netlink::up(&port).await })?;
            }
            Fault::Mute => self.filter_port(number, Verdict::Pass)?,
            Fault::Deaf => self.filter_nic(number, Verdict::Pass)?,
            Fault::Isolate => self.isolate(number, "0")?,
        }
        self.wait_ready(number)
    }

    /// What comes from a node into the switch.
    fn filter_port(&self, number: usize, verdict: Verdict) -> anyhow::Result<()> {
        let host = self.hosts.get(number).context("no such node")?;
        let port = host.namespace.name().to_owned();
        let switch = self.lan.switch();
        switch.run(move || async move { netlink::attach_program(&port, verdict).await })
    }

    /// What comes from the switch into a node.
    fn filter_nic(&self, number: usize, verdict: Verdict) -> anyhow::Result<()> {
        let host = self.hosts.get(number).context("no such node")?;
        let attach = move || async move { netlink::attach_program(NIC, verdict).await };
        host.namespace.run(attach)
    }

    /// Whether the switch keeps the ports of a node and of the next one apart from each other.
    fn isolate(&self, number: usize, value: &'static str) -> anyhow::Result<()> {
        let pair = self.hosts.iter().cycle().skip(number).take(2);
        let ports: Vec<String> = pair.map(|it| it.namespace.name().to_owned()).collect();
        self.lan.switch().run(move || async move {
            for port in ports {
                std::fs::write(format!("/sys/class/net/{port}/brport/isolated"), value)?;
            }
            Ok(())
        })
    }

    /// Lets a fault happen to the node that answers, asking all the time, and repairs it; gives what was seen and whose
    /// fault it was.
    ///
    /// # Errors
    /// When a part of it fails.
    pub fn fail_over(&mut self, fault: Fault, before: Duration) -> anyhow::Result<(usize, Seen)> {
        let owner = self.owner()?;
        let seen = self.probe(before, FAILOVER_TIME, |it| it.inflict(fault, owner))?;
        self.repair(fault, owner)?;
        for number in 0..self.hosts.len() {
            self.wait_ready(number)?;
        }
        Ok((owner, seen))
    }

    /// Asks all the time, lets something happen after a while, and goes on for a while.
    ///
    /// # Errors
    /// When a question cannot be sent, or what happens fails.
    pub fn probe(
        &self,
        before: Duration,
        after: Duration,
        happen: impl FnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<Seen> {
        let question = Arp::who_has(VIP, (self.client.mac, self.client.address)).broadcast();
        let since = self.wire.now();
        let mut happen = Some(happen);
        let (mut last, mut held_up) = (since, Duration::ZERO);
        while self.wire.now() < since + before + after {
            self.wire.send(&question)?;
            let now = self.wire.now();
            held_up = held_up.max(now.saturating_sub(last));
            last = now;
            if self.wire.now() > since + before
                && let Some(happen) = happen.take()
            {
                happen(self)?;
            }
            std::thread::sleep(PROBE);
        }
        let answers = self.wire.frames().into_iter().filter(|it| it.at >= since);
        let answers = answers
            .filter_map(|frame| Some((frame.at, Arp::parse(&frame.bytes)?.answers(VIP)?)))
            .collect();
        Ok(Seen {
            answers,
            held_up,
            until: self.wire.now(),
            since,
        })
    }
}

/// The Secret with the key of the heartbeats.
pub fn secret(key: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: sanmon-membership, namespace: sanmon-system}}
stringData: {{key: {key}}}
"
    )
}

/// The Node objects, some of them cordoned.
fn nodes_yaml(count: usize, cordoned: &[usize]) -> String {
    let node = |index: usize| {
        let (number, cordoned) = (index + 1, cordoned.contains(&index));
        format!(
            "apiVersion: v1
kind: Node
metadata: {{name: node-{number}}}
spec: {{unschedulable: {cordoned}}}
status: {{addresses: [{{type: InternalIP, address: 192.168.2.1{number}}}]}}
---
"
        )
    };
    (0..count).map(node).collect()
}

/// The configuration, with more lines for the spec of the SanmonConfig, each behind two spaces.
pub fn config(more: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: sanmon}}
spec:
  controllerName: sanmon.dev/gateway-controller
  parametersRef: {{group: sanmon.dev, kind: SanmonConfig, name: default}}
---
apiVersion: sanmon.dev/v1alpha1
kind: SanmonConfig
metadata: {{name: default}}
spec:
  addressPools:
  - name: lan
    addresses: [\"192.168.2.200-192.168.2.250\"]
{more}---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: main}}
spec:
  gatewayClassName: sanmon
  addresses: [{{type: IPAddress, value: 192.168.2.200}}]
  listeners:
  - {{name: http, protocol: HTTP, port: 80}}
"
    )
}
