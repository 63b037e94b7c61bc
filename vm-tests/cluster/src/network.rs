//! The cluster's network: a LAN with the control plane, a client and the nodes on it. Knows nothing of Kubernetes.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use gateway_vm_tests::netlink::{self, Hop};
use gateway_vm_tests::{Host, Lan};
use ipnet::{IpNet, Ipv4Net};

use crate::Arguments;

const SERVER: &str = "192.168.77.2/24";
const CLIENT: &str = "192.168.77.50/24";

/// A switch and the hosts that every cluster has.
#[derive(Debug)]
pub(crate) struct Network {
    /// Where the control plane runs.
    pub(crate) server: Host,
    /// Where kubectl and clients of the cluster's services run.
    pub(crate) client: Host,
    /// The nodes, `node-1` and so on, each with a range of pods behind it.
    pub(crate) nodes: Vec<Arc<Host>>,
    /// The switch.
    pub(crate) lan: Lan,
}

impl Network {
    /// Makes the network.
    pub(crate) fn new(nodes: u8) -> anyhow::Result<Self> {
        let lan = Lan::new()?;
        let mut network = Self {
            server: lan.host("server", SERVER.parse()?)?,
            client: lan.host("client", CLIENT.parse()?)?,
            nodes: Vec::new(),
            lan,
        };
        for number in 1..=nodes {
            let address = Ipv4Addr::new(192, 168, 77, 10 + number);
            let host = network
                .lan
                .host(&format!("node-{number}"), Ipv4Net::new(address, 24)?)?;
            host.make_node()?;
            network.nodes.push(Arc::new(host));
        }
        network.route_pods()?;
        Ok(network)
    }

    /// The names of the nodes.
    pub(crate) fn node_names(&self) -> Vec<&str> {
        let hosts = self.nodes.iter();
        hosts.map(|host| host.namespace.name()).collect()
    }

    /// Tells every host which node each range of pods is behind.
    fn route_pods(&self) -> anyhow::Result<()> {
        for (node, number) in self.nodes.iter().zip(1..) {
            let pods = IpNet::V4(Ipv4Net::new(Ipv4Addr::new(10, 244, number, 0), 24)?);
            let via = IpAddr::V4(node.address);
            let others = self.nodes.iter().map(|host| &**host);
            for host in others.chain([&self.server, &self.client]) {
                if host.address != node.address {
                    host.namespace
                        .run(move || netlink::route(pods, Hop::Via(via)))?;
                }
            }
        }
        Ok(())
    }

    /// Writes two scripts for people and for xtask: `client` runs a program on the client, `kubectl` is kubectl there.
    pub(crate) fn write_scripts(
        &self,
        arguments: &Arguments,
        kubeconfig: &Path,
    ) -> anyhow::Result<()> {
        let enter = format!(
            "#!/bin/sh\n# On the cluster's client; serves as long as this cluster runs.\n\
             export KUBECONFIG='{}'\nexec nsenter --target {} --net",
            kubeconfig.display(),
            self.client.namespace.thread(),
        );
        let kubectl = arguments.kubernetes.join("kubectl");
        let kubectl = format!("{enter} '{}' \"$@\"\n", kubectl.display());
        for (name, script) in [
            ("client", format!("{enter} \"$@\"\n")),
            ("kubectl", kubectl),
        ] {
            let path = arguments.folder.join(name);
            fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}
