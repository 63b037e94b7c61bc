//! What `ip` does, in the namespace of the calling thread: links, addresses, routes and rules.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context, anyhow};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags};
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::packet_route::route::{
    RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{
    Handle, IpVersion, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use tokio::task::JoinHandle;

use crate::bpf;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// A netlink socket of the namespace.
struct Netlink {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Netlink {
    fn open() -> anyhow::Result<Self> {
        let (connection, handle, _) =
            rtnetlink::new_connection().context("cannot open a netlink socket")?;
        Ok(Self {
            handle,
            connection: tokio::spawn(connection),
        })
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// One end of a cable to be.
#[derive(Clone, Debug)]
pub struct Plug {
    /// The interface's name.
    pub name: String,
    /// Its Ethernet address; none: a random one.
    pub mac: Option<Mac>,
}

impl Plug {
    /// An end with a random Ethernet address.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mac: None,
        }
    }

    fn message<T>(self, builder: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
        let builder = builder.name(self.name);
        match self.mac {
            Some(mac) => builder.address(mac.to_vec()),
            None => builder,
        }
    }
}

/// Makes a cable (a veth pair) from this namespace to another. Both ends are down: the kernel refuses to switch one on
/// before it has its peer.
///
/// # Errors
/// When a name is taken.
pub async fn cable(here: Plug, there: Plug, other: RawFd) -> anyhow::Result<()> {
    let netlink = Netlink::open()?;
    let what = format!("cable {} - {}", here.name, there.name);
    let peer = there
        .message(LinkMessageBuilder::<LinkUnspec>::new())
        .setns_by_fd(other)
        .build();
    let pair = here
        .message(LinkMessageBuilder::<LinkVeth>::new_with_info_kind(
            InfoKind::Veth,
        ))
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    let links = netlink.handle.link();
    links.add(pair).execute().await.with_context(|| what)
}

/// Makes a bridge, up.
///
/// # Errors
/// When the name is taken.
pub async fn bridge(name: &str) -> anyhow::Result<()> {
    let links = Netlink::open()?;
    let message = LinkBridge::new(name).build();
    let added = links.handle.link().add(message).execute().await;
    added.with_context(|| format!("bridge {name}"))
}

/// Plugs an interface into a bridge.
///
/// # Errors
/// When one of them does not exist.
pub async fn enslave(name: &str, bridge: &str) -> anyhow::Result<()> {
    let controller = index(bridge).await?;
    set(name, |link| link.controller(controller)).await
}

/// Pulls an interface out of its bridge.
///
/// # Errors
/// When it does not exist.
pub async fn release(name: &str) -> anyhow::Result<()> {
    set(name, LinkMessageBuilder::nocontroller).await
}

/// Switches an interface on.
///
/// # Errors
/// When it does not exist.
pub async fn up(name: &str) -> anyhow::Result<()> {
    set(name, LinkMessageBuilder::up).await
}

/// Switches an interface off.
///
/// # Errors
/// When it does not exist.
pub async fn down(name: &str) -> anyhow::Result<()> {
    set(name, LinkMessageBuilder::down).await
}

/// Attaches an XDP program that passes everything: native XDP on the other end of a veth transmits only when its peer
/// has a program too (kernel, `veth_xdp_xmit`).
///
/// # Errors
/// When the kernel refuses the program.
pub async fn attach_pass_program(name: &str) -> anyhow::Result<()> {
    attach_program(name, bpf::Verdict::Pass).await
}

/// Attaches an XDP program that treats all packets alike, in place of the one before.
///
/// # Errors
/// When the driver has no native XDP.
pub async fn attach_program(name: &str, verdict: bpf::Verdict) -> anyhow::Result<()> {
    /// `XDP_FLAGS_DRV_MODE` of linux/if_link.h.
    const NATIVE: u32 = 1 << 2;
    let program = bpf::load_program(verdict)?;
    let attributes = vec![LinkXdp::Fd(program.as_raw_fd()), LinkXdp::Flags(NATIVE)];
    set(name, |link| {
        link.append_extra_attribute(LinkAttribute::Xdp(attributes))
    })
    .await
}

/// Removes an interface.
///
/// # Errors
/// When it does not exist.
pub async fn delete(name: &str) -> anyhow::Result<()> {
    let netlink = Netlink::open()?;
    let index = index(name).await?;
    let deleted = netlink.handle.link().del(index).execute().await;
    deleted.with_context(|| format!("cannot delete {name}"))
}

/// Gives an interface an address, for use at once: nobody is asked whether somebody else has it.
///
/// # Errors
/// When the interface does not exist or has the address already.
pub async fn address(name: &str, address: IpNet) -> anyhow::Result<()> {
    let netlink = Netlink::open()?;
    let index = index(name).await?;
    let addresses = netlink.handle.address();
    let mut added = addresses.add(index, address.addr(), address.prefix_len());
    if address.addr().is_ipv6() {
        added.message_mut().header.flags |= AddressHeaderFlags::Nodad;
    }
    let added = added.execute().await;
    added.with_context(|| format!("cannot give {address} to {name}"))
}

/// Takes an address from an interface.
///
/// # Errors
/// When the interface does not have it.
pub async fn unaddress(name: &str, address: IpNet) -> anyhow::Result<()> {
    let netlink = Netlink::open()?;
    let index = index(name).await?;
    let addresses = netlink.handle.address().get();
    let mut addresses = addresses.set_link_index_filter(index).execute();
    while let Some(message) = addresses.try_next().await? {
        let local = AddressAttribute::Local(address.addr());
        if message.attributes.contains(&local) {
            let removed = netlink.handle.address().del(message).execute().await;
            return removed.with_context(|| format!("cannot take {address} from {name}"));
        }
    }
    Err(anyhow!("{name} does not have {address}"))
}

/// Every address of every interface.
///
/// # Errors
/// When the kernel does not say.
pub async fn addresses() -> anyhow::Result<Vec<IpAddr>> {
    let netlink = Netlink::open()?;
    let messages: Vec<_> = netlink
        .handle
        .address()
        .get()
        .execute()
        .try_collect()
        .await?;
    Ok(messages
        .into_iter()
        .flat_map(|message| message.attributes)
        .filter_map(|attribute| {
            let AddressAttribute::Local(address) = attribute else {
                return None;
            };
            Some(address)
        })
        .collect())
}

/// What [`xdp_program`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpProgram {
    /// A program, in any mode.
    Attached,
    /// None.
    None,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub enum Hop<'a> {
    /// To neighbours on an interface.
    Link(&'a str),
    /// To a router.
    Via(IpAddr),
    /// To this host itself (`local`, on `lo`).
    Local,
    /// The same, as the kernel has it for an address of an interface.
    Own(&'a str),
}

/// Adds a route.
///
/// # Errors
/// When it exists or leads nowhere.
pub async fn route(destination: IpNet, hop: Hop<'_>) -> anyhow::Result<()> {
    let message = route_message(destination, hop).await?;
    let netlink = Netlink::open()?;
    let added = netlink.handle.route().add(message).execute().await;
    added.with_context(|| format!("cannot add a route to {destination}"))
}

/// Removes a route.
///
/// # Errors
/// When there is none.
pub async fn unroute(destination: IpNet, hop: Hop<'_>) -> anyhow::Result<()> {
    let mut message = route_message(destination, hop).await?;
    // Whoever has set it.
    message.header.protocol = RouteProtocol::Unspec;
    let netlink = Netlink::open()?;
    let removed = netlink.handle.route().del(message).execute().await;
    removed.with_context(|| format!("cannot remove the route to {destination}"))
}

async fn route_message(destination: IpNet, hop: Hop<'_>) -> anyhow::Result<RouteMessage> {
    let builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(destination.network(), destination.prefix_len())?;
    let local = |builder: RouteMessageBuilder<IpAddr>, index| {
        builder
            .output_interface(index)
            .kind(RouteType::Local)
            .scope(RouteScope::Host)
            .table_id(255)
    };
    let builder = match hop {
        Hop::Link(name) => builder
            .output_interface(index(name).await?)
            .scope(RouteScope::Link),
        Hop::Via(router) => builder.gateway(router)?,
        Hop::Local => local(builder, index("lo").await?),
        Hop::Own(name) => local(builder, index(name).await?),
    };
    Ok(builder.build())
}

/// The index of an interface.
///
/// # Errors
/// When it does not exist.
pub async fn index(name: &str) -> anyhow::Result<u32> {
    Ok(link(name).await?.header.index)
}

/// The Ethernet address of an interface.
///
/// # Errors
/// When it does not exist or is no Ethernet interface.
pub async fn mac(name: &str) -> anyhow::Result<Mac> {
    let link = link(name).await?;
    link.attributes
        .into_iter()
        .find_map(|attribute| {
            let LinkAttribute::Address(mac) = attribute else {
                return None;
            };
            Mac::try_from(mac).ok()
        })
        .ok_or_else(|| anyhow!("{name} has no Ethernet address"))
}

/// Tells whether an interface has an XDP program.
///
/// # Errors
/// When the interface does not exist.
pub async fn xdp_program(name: &str) -> anyhow::Result<XdpProgram> {
    let link = link(name).await?;
    let attached = link
        .attributes
        .iter()
        .filter_map(|attribute| {
            let LinkAttribute::Xdp(xdp) = attribute else {
                return None;
            };
            Some(xdp)
        })
        .flatten()
        .any(|xdp| matches!(xdp, LinkXdp::Attached(mode) if *mode != XdpAttached::None));
    Ok(if attached {
        XdpProgram::Attached
    } else {
        XdpProgram::None
    })
}

/// The IPv4 routes of all tables and the policy rules, as lines that can be compared.
///
/// # Errors
/// When the kernel does not answer.
pub async fn routing() -> anyhow::Result<Vec<String>> {
    let netlink = Netlink::open()?;
    let routes: Vec<_> = netlink
        .handle
        .route()
        .get(RouteMessageBuilder::<std::net::Ipv4Addr>::new().build())
        .execute()
        .try_collect()
        .await?;
    let rules: Vec<_> = netlink
        .handle
        .rule()
        .get(IpVersion::V4)
        .execute()
        .try_collect()
        .await?;
    let mut lines: Vec<String> = routes
        .into_iter()
        .map(|mut route| {
            // Whether a link has its carrier yet is no matter of routing.
            route.header.flags = RouteFlags::empty();
            format!("{route:?}")
        })
        .chain(rules.iter().map(|rule| format!("{rule:?}")))
        .collect();
    lines.sort();
    Ok(lines)
}

async fn link(name: &str) -> anyhow::Result<LinkMessage> {
    let netlink = Netlink::open()?;
    let get = netlink.handle.link().get().match_name(name);
    let link = get.execute().try_next().await;
    let link = link.with_context(|| format!("no interface {name}"))?;
    link.ok_or_else(|| anyhow!("no interface {name}"))
}

async fn set(
    name: &str,
    change: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
) -> anyhow::Result<()> {
    let netlink = Netlink::open()?;
    let link = LinkUnspec::new_with_index(index(name).await?);
    let set = netlink.handle.link().set(change(link).build());
    let done = set.execute().await;
    done.with_context(|| format!("cannot change {name}"))
}
