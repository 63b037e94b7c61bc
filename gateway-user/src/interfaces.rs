//! The Ethernet interfaces of this network namespace, kept current by rtnetlink. Needs no rights.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::Context;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use gateway_ir::{Interface, Mac};
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteVia,
};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder, new_multicast_connection};
use tokio::sync::watch;
use tracing::{debug, warn};

/// The interfaces that there are, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    /// Those that take part in the network.
    pub(crate) up: Vec<Interface>,
    /// The others.
    pub(crate) down: Vec<Interface>,
    /// The next hops of the default routes, sorted.
    pub(crate) routers: Vec<IpAddr>,
}

impl Present {
    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Interface> {
        self.up.iter().chain(&self.down)
    }
}

type Sender = watch::Sender<Present>;
/// Something has changed; what it is, the next list says.
type Messages = BoxStream<'static, ()>;

/// The list is read again after this time even if nothing was told: the kernel drops events when a queue is full.
const RESCAN: Duration = Duration::from_secs(30);

/// Lists the interfaces and follows their changes on a task of the current runtime.
///
/// Where the kernel does not tell, the list is empty, and it is asked again from time to time.
pub(crate) async fn watch() -> watch::Receiver<Present> {
    let (sender, receiver) = watch::channel(Present::default());
    let mut events = listen(&sender).await;
    tokio::spawn(async move {
        loop {
            match events {
                Ok((handle, messages)) => follow(&handle, messages, &sender).await,
                Err(error) => {
                    warn!(error = format!("{error:#}"), "interfaces are not known");
                    tokio::time::sleep(RESCAN).await;
                }
            }
            events = listen(&sender).await;
        }
    });
    receiver
}

/// Opens a socket that tells of changes, and lists what there is at its start.
async fn listen(sender: &Sender) -> anyhow::Result<(Handle, Messages)> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ];
    let (connection, handle, messages) =
        new_multicast_connection(&groups).context("cannot open an rtnetlink socket")?;
    tokio::spawn(connection);
    sender.send_replace(list(&handle).await?);
    Ok((handle, messages.map(drop).boxed()))
}

/// Lists the interfaces anew at every message, until there are no more.
async fn follow(handle: &Handle, mut messages: Messages, sender: &Sender) {
    loop {
        let message = tokio::time::timeout(RESCAN, messages.next()).await;
        if matches!(message, Ok(None)) {
            return;
        }
        // What has queued up meanwhile is in the list that is read next.
        while let Some(Some(_)) = messages.next().now_or_never() {}
        match list(handle).await {
            Ok(new) => {
                sender.send_if_modified(|last| {
                    let changed = *last != new;
                    *last = new;
                    changed
                });
            }
            Err(error) => debug!(error = format!("{error:#}"), "interfaces not listed"),
        }
    }
}

async fn list(handle: &Handle) -> anyhow::Result<Present> {
    let mut interfaces = BTreeMap::new();
    let mut running = BTreeSet::new();
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await.context("cannot list interfaces")? {
        if let Some(interface) = ethernet(&link) {
            if link.header.flags.contains(LinkFlags::Up) {
                running.insert(interface.index);
            }
            interfaces.insert(interface.index, interface);
        }
    }
    let mut addresses = handle.address().get().execute();
    while let Some(message) = addresses
        .try_next()
        .await
        .context("cannot list addresses")?
    {
        if let Some(interface) = interfaces.get_mut(&message.header.index) {
            interface.addresses.extend(address(&message));
        }
    }
    for interface in interfaces.values_mut() {
        interface.addresses.sort();
    }
    let (up, down) = interfaces
        .into_values()
        .partition(|it| running.contains(&it.index));
    let routers = routers(handle).await?;
    Ok(Present { up, down, routers })
}

/// The next hops of the default routes of the main table.
async fn routers(handle: &Handle) -> anyhow::Result<Vec<IpAddr>> {
    let requests = [
        RouteMessageBuilder::<Ipv4Addr>::new().build(),
        RouteMessageBuilder::<Ipv6Addr>::new().build(),
    ];
    let mut found = BTreeSet::new();
    for request in requests {
        let mut routes = handle.route().get(request).execute();
        while let Some(route) = routes.try_next().await.context("cannot list routes")? {
            if is_default(&route) {
                found.extend(route.attributes.iter().flat_map(next_hops));
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn is_default(route: &RouteMessage) -> bool {
    let header = &route.header;
    header.destination_prefix_length == 0 && header.table == RouteHeader::RT_TABLE_MAIN
}

/// The next hop that an attribute names, or each of several that share the load.
fn next_hops(attribute: &RouteAttribute) -> Vec<IpAddr> {
    if let RouteAttribute::Gateway(RouteAddress::Inet(address))
    | RouteAttribute::Via(RouteVia::Inet(address)) = attribute
    {
        vec![IpAddr::V4(*address)]
    } else if let RouteAttribute::Gateway(RouteAddress::Inet6(address))
    | RouteAttribute::Via(RouteVia::Inet6(address)) = attribute
    {
        vec![IpAddr::V6(*address)]
    } else if let RouteAttribute::MultiPath(hops) = attribute {
        let attributes = hops.iter().flat_map(|hop| &hop.attributes);
        attributes.flat_map(next_hops).collect()
    } else {
        Vec::new()
    }
}

fn ethernet(link: &LinkMessage) -> Option<Interface> {
    let header = &link.header;
    if header.link_layer_type != LinkLayerType::Ether {
        return None;
    }
    let (mut name, mut mac) = (None, None);
    for attribute in &link.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            name = Some(text.clone());
        } else if let LinkAttribute::Address(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice()).ok();
        }
    }
    Some(Interface {
        name: name?,
        index: header.index,
        mac: Mac(mac?),
        addresses: Vec::new(),
    })
}

/// The interface's own address: on a point-to-point link `Address` is the other end's. One that another machine may have
/// as well (RFC 4862 §5.4) is not used yet, or never.
fn address(message: &AddressMessage) -> Option<IpNet> {
    let (mut local, mut other) = (None, None);
    for attribute in &message.attributes {
        if let AddressAttribute::Flags(flags) = attribute {
            if flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed) {
                return None;
            }
        } else if let AddressAttribute::Local(address) = attribute {
            local = Some(*address);
        } else if let AddressAttribute::Address(address) = attribute {
            other = Some(*address);
        }
    }
    let own: IpAddr = local.or(other)?;
    IpNet::new(own, message.header.prefix_len).ok()
}
