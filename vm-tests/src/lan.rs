//! The network: a switch, hosts on its ports, and pods behind the hosts that are nodes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ipnet::{IpNet, Ipv4Net};

use crate::frame::Arp;
use crate::netlink::{self, Hop, Mac, Plug};
use crate::{Capture, Namespace, Relay};

const BRIDGE: &str = "br0";
/// The only interface of a host.
pub const NIC: &str = "eth0";
/// The router of every pod, on its node; a link of its own for each pod, so the address may repeat.
const POD_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 1);

/// A switch with hosts on its ports.
#[derive(Debug)]
pub struct Lan {
    switch: Namespace,
}

/// A host: a namespace with one interface and one address. It ends with this value.
#[derive(Debug)]
pub struct Host {
    /// Where it runs.
    pub namespace: Namespace,
    /// The Ethernet address of its interface.
    pub mac: Mac,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Lan {
    /// Makes a switch without hosts.
    ///
    /// # Errors
    /// When namespaces or bridges are not available.
    pub fn new() -> anyhow::Result<Self> {
        let switch = Namespace::new("switch")?;
        switch.run(|| netlink::bridge(BRIDGE))?;
        Ok(Self { switch })
    }

    /// The switch's own namespace.
    pub fn switch(&self) -> &Namespace {
        &self.switch
    }

    /// Adds a host with an address; the port has the host's name. The last byte of the address is in the MAC.
    ///
    /// # Errors
    /// When the name is taken or too long for a port.
    pub fn host(&self, name: &str, address: Ipv4Net) -> anyhow::Result<Host> {
        let namespace = Namespace::new(name)?;
        let [.., last] = address.addr().octets();
        let host = Host {
            namespace,
            mac: [0x02, 0, 0, 0, 0, last],
            address: address.addr(),
        };
        self.plug(&host, address)?;
        Ok(host)
    }

    /// Plugs a host that has no interface into a port of its name. The port has a pass program, so that the host may
    /// transmit from native XDP.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn plug(&self, host: &Host, address: Ipv4Net) -> anyhow::Result<()> {
        self.lay_cable(host)?;
        self.connect(host, address)
    }

    /// The same, with a recording of the port that begins before the host can send.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn plug_recorded(&self, host: &Host, address: Ipv4Net) -> anyhow::Result<Capture> {
        self.lay_cable(host)?;
        let capture = self.capture(host)?;
        self.connect(host, address)?;
        Ok(capture)
    }

    fn lay_cable(&self, host: &Host) -> anyhow::Result<()> {
        let port = host.namespace.name().to_owned();
        let other = self.switch.fd();
        let plug = Plug {
            name: NIC.into(),
            mac: Some(host.mac),
        };
        let there = Plug::named(&port);
        host.namespace
            .run(move || netlink::cable(plug, there, other))?;
        // The port first: frames that the host sends as soon as its interface is up have somewhere to go.
        self.switch.run(move || async move {
            netlink::attach_pass_program(&port).await?;
            netlink::enslave(&port, BRIDGE).await?;
            netlink::up(&port).await
        })
    }

    fn connect(&self, host: &Host, address: Ipv4Net) -> anyhow::Result<()> {
        host.namespace.run(move || async move {
            netlink::address(NIC, IpNet::V4(address)).await?;
            netlink::up(NIC).await
        })?;
        let port = host.namespace.name().to_owned();
        self.switch.run(move || forwards(port))
    }

    /// Puts a stretch that can be impaired between a host's port and the switch. A recording of the port is made on the
    /// host's side of it. The host is cut off when the stretch ends.
    ///
    /// # Errors
    /// When the host is not plugged in, or has such a stretch.
    pub fn relay(&self, host: &Host) -> anyhow::Result<Relay> {
        let port = host.namespace.name().to_owned();
        let number = host.address.octets()[3];
        let (near, far) = (format!("near-{number}"), format!("far-{number}"));
        let other = self.switch.fd();
        let trunk = near.clone();
        self.switch.run(move || async move {
            netlink::cable(Plug::named(&near), Plug::named(&far), other).await?;
            netlink::enslave(&far, BRIDGE).await?;
            netlink::up(&far).await?;
            netlink::up(&near).await?;
            forwards(far).await?;
            netlink::release(&port).await
        })?;
        // What the switch has learnt leads to the port, and that is none of its own any more.
        self.forget()?;
        Relay::start(&self.switch, host.namespace.name(), &trunk)
    }

    /// Empties the switch's table, as if all entries had aged out: until it has heard a host again, what is for that
    /// host goes to all ports.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forget(&self) -> anyhow::Result<()> {
        self.set_bridge("flush", "1")
    }

    /// Lets entries of the switch's table age out after so many hundredths of a second. After none: it learns nothing,
    /// and every frame goes to all ports.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forget_after(&self, centiseconds: u32) -> anyhow::Result<()> {
        self.set_bridge("ageing_time", &centiseconds.to_string())?;
        self.forget()
    }

    fn set_bridge(&self, parameter: &str, value: &str) -> anyhow::Result<()> {
        let path = format!("/sys/class/net/{BRIDGE}/bridge/{parameter}");
        let value = value.to_owned();
        self.switch.run(move || async move {
            std::fs::write(&path, value).with_context(|| format!("cannot write {path}"))
        })
    }

    /// Records what passes a host's port, in both directions.
    ///
    /// # Errors
    /// When the host is not plugged in.
    pub fn capture(&self, host: &Host) -> anyhow::Result<Capture> {
        Capture::start(&self.switch, host.namespace.name())
    }
}

/// Waits until a port of the bridge forwards: the kernel tells bridges of a carrier up to a second late.
async fn forwards(port: String) -> anyhow::Result<()> {
    /// `BR_STATE_FORWARDING` of linux/if_bridge.h.
    const FORWARDING: &str = "3";
    let state = format!("/sys/class/net/{port}/brport/state");
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::read_to_string(&state)?.trim() != FORWARDING {
        ensure!(Instant::now() < deadline, "port {port} does not forward");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

impl Host {
    /// Pulls the interface out, as a driver that is unloaded does: the interface vanishes.
    ///
    /// # Errors
    /// When it is out already.
    pub fn unplug(&self) -> anyhow::Result<()> {
        self.namespace.run(|| netlink::delete(NIC))
    }

    /// Asks the LAN who has an address and waits for the answer; `wire` records this host's interface.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub fn who_has(
        &self,
        wire: &Capture,
        address: Ipv4Addr,
        timeout: Duration,
    ) -> anyhow::Result<Mac> {
        let question = Arp::who_has(address, (self.mac, self.address));
        let since = wire.now();
        wire.send(&question.broadcast())?;
        let what = format!("ARP answer for {address}");
        wire.wait_for(&what, since, timeout, |frame| {
            Arp::parse(&frame.bytes)?.answers(address)
        })
    }

    /// Makes the host a node: it forwards, checks the source of what comes in, and answers ARP for any address that it
    /// has (the kernel's defaults; most distributions set the second).
    ///
    /// # Errors
    /// When the kernel lacks a parameter.
    pub fn make_node(&self) -> anyhow::Result<()> {
        for (parameter, value) in [
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv4/conf/all/rp_filter", "1"),
            ("net/ipv4/conf/default/rp_filter", "1"),
            ("net/ipv4/conf/eth0/rp_filter", "1"),
            ("net/ipv4/conf/all/arp_ignore", "0"),
        ] {
            self.namespace.sysctl(parameter, value)?;
        }
        Ok(())
    }

    /// Adds a pod to a node, as a CNI with routed links does: a cable, an address, a route on each side.
    ///
    /// # Errors
    /// When the name is taken or too long.
    pub fn pod(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<Self> {
        let pod = Namespace::new(name)?;
        let link = format!("pod-{name}");
        let destination = IpNet::from(IpAddr::V4(address));
        let router = IpNet::from(IpAddr::V4(POD_ROUTER));
        let other = pod.fd();
        self.namespace.run(move || async move {
            netlink::cable(Plug::named(&link), Plug::named(NIC), other).await?;
            netlink::address(&link, router).await?;
            netlink::up(&link).await?;
            netlink::route(destination, Hop::Link(&link)).await
        })?;
        let mac = pod.run(move || async move {
            netlink::address(NIC, destination).await?;
            netlink::up(NIC).await?;
            netlink::route(router, Hop::Link(NIC)).await?;
            let anywhere = IpNet::V4(Ipv4Net::default());
            netlink::route(anywhere, Hop::Via(IpAddr::V4(POD_ROUTER))).await?;
            netlink::mac(NIC).await
        });
        Ok(Self {
            mac: mac.with_context(|| format!("pod {name}"))?,
            namespace: pod,
            address,
        })
    }
}
