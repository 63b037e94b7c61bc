//! The usual test bed: a client, one node with pods, `sanmon run` on it, and a recording of the node's port.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;

use crate::folder::Folder;
use crate::lan::NIC;
use crate::netlink::Mac;
use crate::pod::{self, Service};
use crate::sanmon::{self, Options};
use crate::trace::Trace;
use crate::{Capture, Host, Lan, Sanmon, Task};

/// The address that the Gateway of the bed asks for.
pub const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 200);
/// An address of the pool that no Gateway has.
pub const FREE: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 240);
/// The TCP port of the VIP that gate 2 steers.
pub const TCP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(VIP), 7000);
/// The UDP port of the VIP that gate 2 steers.
pub const DNS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(VIP), 53);
/// The port of the VIP that gate 3 serves.
pub const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(VIP), 80);
/// How long `sanmon` may take to be ready, or to take up a change, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a frame may take that should come at once.
pub const SOON: Duration = Duration::from_secs(2);
/// How long nothing must come where silence is promised.
pub const SILENCE: Duration = Duration::from_millis(300);

const NODE: &str = "node-1";
const NODE_ADDRESS: &str = "192.168.2.10/24";

/// Which hook of gate 2 the bed forces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Native XDP.
    Native,
    /// tc.
    Tc,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Tc => "tc",
        })
    }
}

/// The bed. Everything in it ends with it.
#[derive(Debug)]
pub struct Bed {
    /// `sanmon run` on the node; ends before its namespace.
    pub sanmon: Sanmon,
    /// What passes the node's port.
    pub port: Capture,
    /// What passes the client's interface.
    pub wire: Capture,
    /// The client.
    pub client: Host,
    /// The node.
    pub node: Host,
    /// The pods `pod-1` to `pod-4`, each with all three services; the configuration names the first two.
    pub pods: Vec<Host>,
    /// The switch.
    pub lan: Lan,
    /// The configuration.
    pub folder: Folder,
    /// How `sanmon` was started.
    pub options: Options,
    /// What the node looked like before `sanmon`.
    pub untouched: Trace,
    _services: Vec<Task<()>>,
}

/// Runs a test on a bed of its own, or says that it is skipped. A failure names the log and a pcap file.
///
/// # Errors
/// What the test returns.
pub fn on_bed(
    test: &str,
    mode: Mode,
    body: impl FnOnce(&mut Bed) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if crate::skips(test) {
        return Ok(());
    }
    let mut bed = Bed::new(mode)?;
    let result = body(&mut bed);
    let log = || format!("sanmon said:\n{}", bed.sanmon.log());
    bed.port.explain(test, result.with_context(log))
}

impl Bed {
    /// Builds the bed and waits until `sanmon` is ready.
    ///
    /// # Errors
    /// When a part of it does not come up.
    pub fn new(mode: Mode) -> anyhow::Result<Self> {
        let lan = Lan::new()?;
        let client = lan.host("client", "192.168.2.50/24".parse()?)?;
        let node = lan.host(NODE, NODE_ADDRESS.parse()?)?;
        node.make_node()?;
        let (mut pods, mut services) = (Vec::new(), Vec::new());
        for number in 1..=4_u8 {
            let pod = node.pod(
                &format!("pod-{number}"),
                Ipv4Addr::new(10, 244, 1, 10 + number),
            )?;
            services.push(pod::serve(&pod, Service::Http, 8080)?);
            services.push(pod::serve(&pod, Service::Tcp, 7001)?);
            services.push(pod::serve(&pod, Service::Dns, 5353)?);
            pods.push(pod);
        }
        let folder = Folder::new()?;
        folder.write("config.yaml", &config(mode, ""))?;
        folder.write("gateway.yaml", GATEWAY)?;
        folder.write("routes.yaml", ROUTES)?;
        folder.write("pods.yaml", &slices(pods.get(..2).unwrap_or(&[])))?;
        let options = Options {
            program: sanmon::binary(),
            config: folder.path().to_owned(),
            node: NODE.into(),
            bpf_root: sanmon::unique_bpf_root(),
            admin: sanmon::ADMIN,
            log: folder.beside("log"),
            more: vec!["--run-dir".into(), folder.beside("run").into_os_string()],
        };
        let untouched = Trace::of(&node, &options.bpf_root)?;
        let port = lan.capture(&node)?;
        let wire = Capture::start(&client.namespace, NIC)?;
        let mut sanmon = Sanmon::start(&node.namespace, &options)?;
        sanmon.wait_ready(&node.namespace, PATIENCE)?;
        Ok(Self {
            sanmon,
            port,
            wire,
            client,
            node,
            pods,
            lan,
            folder,
            options,
            untouched,
            _services: services,
        })
    }

    /// Asks the LAN who has an address, as the client, and waits for the answer.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub fn who_has(&self, address: Ipv4Addr, timeout: Duration) -> anyhow::Result<Mac> {
        self.client.who_has(&self.wire, address, timeout)
    }

    /// Makes the configuration's pods exactly these, by position, and waits until the change is in force.
    ///
    /// # Errors
    /// When it does not come into force.
    pub fn use_pods(&mut self, numbers: &[usize]) -> anyhow::Result<()> {
        let pods = numbers
            .iter()
            .map(|number| self.pods.get(*number).context("the bed has four pods"))
            .collect::<anyhow::Result<Vec<&Host>>>()?;
        let addresses: Vec<String> = pods.iter().map(|pod| pod.address.to_string()).collect();
        let gone: Vec<String> = self
            .pods
            .iter()
            .map(|pod| pod.address.to_string())
            .filter(|address| !addresses.contains(address))
            .collect();
        self.folder.write("pods.yaml", &slices(pods))?;
        let node = &self.node.namespace;
        self.sanmon.wait_for(node, "/snapshot", PATIENCE, |reply| {
            let text = String::from_utf8_lossy(&reply.body);
            let names = |address: &String| text.contains(address.as_str());
            addresses.iter().all(names) && !gone.iter().any(names)
        })?;
        self.sanmon.wait_ready(node, PATIENCE)
    }

    /// Starts `sanmon` again, after it ended, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.sanmon = Sanmon::start(&self.node.namespace, &self.options)?;
        self.sanmon.wait_ready(&self.node.namespace, PATIENCE)
    }

    /// What is on the node now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn trace(&self) -> anyhow::Result<Trace> {
        Trace::of(&self.node, &self.options.bpf_root)
    }

    /// Fails unless the node looks as if `sanmon` had never run.
    ///
    /// # Errors
    /// When something is left.
    pub fn expect_no_trace(&self) -> anyhow::Result<()> {
        self.untouched.expect_on(&self.node, &self.options.bpf_root)
    }

    /// Plugs the node in again after [`Host::unplug`]. Its port is a new one, recorded from its first frame.
    ///
    /// # Errors
    /// When it is plugged in.
    pub fn replug(&mut self) -> anyhow::Result<()> {
        self.port = self.lan.plug_recorded(&self.node, NODE_ADDRESS.parse()?)?;
        Ok(())
    }
}

/// The class and the SanmonConfig of the bed, with more lines at the end of the latter: pools, then other fields.
pub fn config(mode: Mode, more: &str) -> String {
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
  datapath: {{mode: {mode}}}
  addressPools:
  - name: lan
    addresses: [\"192.168.2.200-192.168.2.250\"]
{more}"
    )
}

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: main}
spec:
  gatewayClassName: sanmon
  addresses: [{type: IPAddress, value: 192.168.2.200}]
  listeners:
  - {name: http, protocol: HTTP, port: 80}
  - {name: tcp, protocol: TCP, port: 7000}
  - {name: dns, protocol: UDP, port: 53}
";

const ROUTES: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: main, sectionName: http}]
  rules: [{backendRefs: [{name: app, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: echo}
spec:
  parentRefs: [{name: main, sectionName: tcp}]
  rules: [{backendRefs: [{name: app, port: 7000}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: dns}
spec:
  parentRefs: [{name: main, sectionName: dns}]
  rules: [{backendRefs: [{name: app, port: 53}]}]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec:
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: tcp, port: 7000, targetPort: 7001}
  - {name: dns, port: 53, targetPort: 5353, protocol: UDP}
";

fn slices<'a>(pods: impl IntoIterator<Item = &'a Host>) -> String {
    let mut text = String::from(
        "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: app
  labels: {kubernetes.io/service-name: app}
addressType: IPv4
ports:
- {name: http, port: 8080, protocol: TCP}
- {name: tcp, port: 7001, protocol: TCP}
- {name: dns, port: 5353, protocol: UDP}
endpoints:
",
    );
    for pod in pods {
        // Writing to a string does not fail.
        let _written = writeln!(
            text,
            "- {{addresses: [\"{}\"], nodeName: {NODE}}}",
            pod.address
        );
    }
    text
}
