//! The local routes that bring packets for L7 VIPs to the proxy's sockets.
//!
//! They live in a table of their own: in table `local` rules of kube-proxy and of the portmap plugin would match them.
//! `src` makes connections from this very host work. The table holds nothing else, so one rule for all of it serves. It
//! is for TCP alone, all that the proxy speaks: the lookup that decides whether the kernel answers ARP has no protocol,
//! so it never finds these routes, not even on an interface that has no program yet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Context;
use futures_util::TryStreamExt;
use gateway_ir::{Interface, ListenerFailure, Service, ServiceTarget, Snapshot};
use ipnet::IpNet;
use rtnetlink::packet_route::IpProtocol;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{Error, Handle, IpVersion, RouteMessageBuilder, new_connection};

/// The table of the VIPs' routes, and of nothing else.
const TABLE: u32 = 7473;
/// Before the table `main`, behind `local`.
const RULE_PRIORITY: u32 = 100;
/// What the rule is limited to.
const FOR_TCP: RuleAttribute = RuleAttribute::IpProtocol(IpProtocol::Tcp);
/// `lo` is the first interface of every network namespace.
const LOOPBACK: u32 = 1;
const EEXIST: i32 = 17;

/// The destinations with the source address that the host itself uses towards them.
pub(crate) type Wanted = BTreeMap<IpAddr, Option<IpAddr>>;

/// The destinations without a route, with the reason.
pub(crate) type Unset = BTreeMap<IpAddr, String>;

/// The routes that a snapshot needs on a node with these interfaces.
pub(crate) fn wanted(snapshot: &Snapshot, interfaces: &[Interface]) -> Wanted {
    let proxied = snapshot.services.iter().filter(|it| is_proxied(it));
    proxied
        .map(|it| (it.vip, source(it.vip, interfaces)))
        .collect()
}

/// What the listeners of destinations without a route say.
pub(crate) fn failures(snapshot: &Snapshot, unset: &Unset) -> Vec<ListenerFailure> {
    let proxied = snapshot.services.iter().filter(|it| is_proxied(it));
    let failures: BTreeSet<_> = proxied
        .filter_map(|it| {
            let why = unset.get(&it.vip)?;
            Some(ListenerFailure {
                listener: it.listener.clone(),
                message: format!("{} has no route to the proxy: {why}", it.vip),
            })
        })
        .collect();
    failures.into_iter().collect()
}

fn is_proxied(service: &Service) -> bool {
    match service.target {
        ServiceTarget::Proxy => true,
        ServiceTarget::Endpoints { .. } => false,
    }
}

/// The node's address in the VIP's subnet, or any.
fn source(vip: IpAddr, interfaces: &[Interface]) -> Option<IpAddr> {
    let addresses = interfaces.iter().flat_map(|it| &it.addresses);
    let mut own = addresses.filter(|net| net.addr().is_ipv4() == vip.is_ipv4() && !is_of_link(net));
    let in_subnet = own.clone().find(|net| net.contains(&vip));
    in_subnet.or_else(|| own.next()).map(IpNet::addr)
}

/// Whether an address means something on one link only: nobody behind a router could answer to it.
fn is_of_link(net: &IpNet) -> bool {
    match net {
        IpNet::V4(_) => false,
        IpNet::V6(net) => net.addr().is_unicast_link_local(),
    }
}

/// The routes of this network namespace.
#[derive(Debug)]
pub(crate) struct Routes {
    handle: Handle,
    /// What was set last; none: not known, a former process may have left something.
    set: Option<Wanted>,
}

impl Routes {
    /// Opens a connection; it lives on a task of the current runtime.
    ///
    /// # Errors
    /// When rtnetlink cannot be reached.
    pub(crate) fn connect() -> anyhow::Result<Self> {
        let (connection, handle, _) =
            new_connection().context("cannot open an rtnetlink socket")?;
        tokio::spawn(connection);
        Ok(Self { handle, set: None })
    }

    /// Makes the table hold exactly these routes; gives those that could not be set, with the reason.
    ///
    /// # Errors
    /// When none could be; the next call tries again.
    pub(crate) async fn sync(&mut self, wanted: Wanted) -> anyhow::Result<Unset> {
        if wanted.is_empty() && self.set.as_ref().is_some_and(BTreeMap::is_empty) {
            return Ok(Unset::new());
        }
        for version in [IpVersion::V4, IpVersion::V6] {
            if wanted.keys().any(|vip| is_of(&version, *vip)) {
                let added = self.add_rule(version).await;
                added.context("cannot add the rule of the VIPs")?;
            }
        }
        let mut unset = Unset::new();
        // All of them each time: the kernel drops a route when its source address goes away for a moment.
        for (vip, source) in &wanted {
            let mut request = self.handle.route().add(local(*vip, *source)).replace();
            request.message_mut().header.scope = RouteScope::Host;
            if let Err(error) = request.execute().await {
                unset.insert(*vip, error.to_string());
            }
        }
        for (vip, message) in self.list().await? {
            if !wanted.contains_key(&vip) {
                self.handle.route().del(message).execute().await?;
            }
        }
        self.set = Some(wanted);
        Ok(unset)
    }

    /// Removes all of it and says what was there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) async fn remove(&mut self) -> anyhow::Result<Vec<String>> {
        let mut removed = Vec::new();
        for (vip, message) in self.list().await? {
            self.handle.route().del(message).execute().await?;
            removed.push(format!("route {vip} table {TABLE}"));
        }
        for version in [IpVersion::V4, IpVersion::V6] {
            for rule in self.rules(version).await? {
                self.handle.rule().del(rule).execute().await?;
                removed.push(format!("rule lookup {TABLE}"));
            }
        }
        self.set = Some(Wanted::new());
        Ok(removed)
    }

    /// Makes sure that there is the rule, and no other one for the table.
    async fn add_rule(&self, version: IpVersion) -> anyhow::Result<()> {
        let (current, others): (Vec<_>, Vec<_>) = self
            .rules(version.clone())
            .await?
            .into_iter()
            .partition(|rule| rule.attributes.contains(&FOR_TCP));
        if current.is_empty() {
            let mut rule = self.handle.rule().add();
            rule.message_mut().attributes.push(FOR_TCP);
            let rule = rule.table_id(TABLE).priority(RULE_PRIORITY);
            let rule = rule.action(RuleAction::ToTable);
            let added = match version {
                IpVersion::V4 => rule.v4().execute().await,
                IpVersion::V6 => rule.v6().execute().await,
            };
            if let Err(error) = added
                && !is_there_already(&error)
            {
                return Err(error.into());
            }
        }
        for rule in others {
            self.handle.rule().del(rule).execute().await?;
        }
        Ok(())
    }

    async fn rules(&self, version: IpVersion) -> anyhow::Result<Vec<RuleMessage>> {
        let mut rules = self.handle.rule().get(version).execute();
        let mut ours = Vec::new();
        while let Some(rule) = rules.try_next().await? {
            if rule.attributes.contains(&RuleAttribute::Table(TABLE)) {
                ours.push(rule);
            }
        }
        Ok(ours)
    }

    async fn list(&self) -> anyhow::Result<Vec<(IpAddr, RouteMessage)>> {
        let mut ours = Vec::new();
        for all in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let mut routes = self.handle.route().get(all).execute();
            while let Some(route) = routes.try_next().await? {
                let is_ours = route.attributes.contains(&RouteAttribute::Table(TABLE));
                if let (true, Some(vip)) = (is_ours, destination(&route)) {
                    ours.push((vip, route));
                }
            }
        }
        Ok(ours)
    }
}

fn destination(route: &RouteMessage) -> Option<IpAddr> {
    let mut destination = None;
    for attribute in &route.attributes {
        if let RouteAttribute::Destination(RouteAddress::Inet(vip)) = attribute {
            destination = Some(IpAddr::V4(*vip));
        } else if let RouteAttribute::Destination(RouteAddress::Inet6(vip)) = attribute {
            destination = Some(IpAddr::V6(*vip));
        }
    }
    destination
}

fn is_of(version: &IpVersion, address: IpAddr) -> bool {
    match version {
        IpVersion::V4 => address.is_ipv4(),
        IpVersion::V6 => address.is_ipv6(),
    }
}

fn local(vip: IpAddr, source: Option<IpAddr>) -> RouteMessage {
    let mut route = match (vip, source) {
        (IpAddr::V4(vip), Some(IpAddr::V4(source))) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(vip, 32)
            .pref_source(source)
            .build(),
        (IpAddr::V4(vip), Some(IpAddr::V6(_)) | None) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(vip, 32)
            .build(),
        (IpAddr::V6(vip), Some(IpAddr::V6(source))) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(vip, 128)
            .pref_source(source)
            .build(),
        (IpAddr::V6(vip), Some(IpAddr::V4(_)) | None) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(vip, 128)
            .build(),
    };
    route.header.kind = RouteType::Local;
    route.header.scope = RouteScope::Host;
    route.header.table = 0;
    route.attributes.push(RouteAttribute::Table(TABLE));
    route.attributes.push(RouteAttribute::Oif(LOOPBACK));
    route
}

fn is_there_already(error: &Error) -> bool {
    if let Error::NetlinkError(message) = error {
        return message.raw_code() == -EEXIST;
    }
    false
}

#[cfg(test)]
mod tests {
    use gateway_ir::{ListenerId, Mac, ObjectName, Protocol};

    use super::*;

    #[test]
    fn a_vip_of_the_proxy_gets_a_route_from_the_nodes_address_in_its_subnet() {
        let snapshot = Snapshot {
            services: vec![service([192, 0, 2, 200], ServiceTarget::Proxy)],
            ..Snapshot::default()
        };
        let interfaces = [interface("198.51.100.1/24"), interface("192.0.2.7/24")];
        let expected = Some(IpAddr::from([192, 0, 2, 7]));
        assert_eq!(
            wanted(&snapshot, &interfaces),
            Wanted::from([(IpAddr::from([192, 0, 2, 200]), expected)])
        );
    }

    #[test]
    fn an_ipv6_vip_gets_a_route_from_an_address_that_others_can_answer_to() {
        let vip: IpAddr = "fd00:2::200".parse().expect("an address");
        let mut frontend = service([192, 0, 2, 200], ServiceTarget::Proxy);
        frontend.vip = vip;
        let snapshot = Snapshot {
            services: vec![frontend],
            ..Snapshot::default()
        };
        let interfaces = [
            interface("192.0.2.7/24"),
            interface("fe80::1/64"),
            interface("fd00:3::7/64"),
        ];
        let expected = Some("fd00:3::7".parse().expect("an address"));
        assert_eq!(
            wanted(&snapshot, &interfaces),
            Wanted::from([(vip, expected)])
        );
    }

    #[test]
    fn a_vip_that_is_only_steered_needs_no_route() {
        let endpoints = ServiceTarget::Endpoints {
            endpoints: Vec::new(),
            refused: 0,
        };
        let snapshot = Snapshot {
            services: vec![service([192, 0, 2, 200], endpoints)],
            ..Snapshot::default()
        };
        assert_eq!(wanted(&snapshot, &[]), Wanted::new());
    }

    #[test]
    fn only_the_listeners_of_a_vip_without_a_route_say_so() {
        let vips = [[192, 0, 2, 200], [192, 0, 2, 201]];
        let snapshot = Snapshot {
            services: vips.map(|vip| service(vip, ServiceTarget::Proxy)).to_vec(),
            ..Snapshot::default()
        };
        let unset = Unset::from([(IpAddr::from(vips[1]), "no".to_owned())]);
        let failures = failures(&snapshot, &unset);
        let messages: Vec<_> = failures.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(messages, ["192.0.2.201 has no route to the proxy: no"]);
    }

    fn service(vip: [u8; 4], target: ServiceTarget) -> Service {
        Service {
            vip: vip.into(),
            port: 80,
            protocol: Protocol::Tcp,
            listener: ListenerId {
                gateway: ObjectName::new("default", "main"),
                section: "web".to_owned(),
            },
            target,
        }
    }

    fn interface(address: &str) -> Interface {
        Interface {
            name: "lan0".to_owned(),
            index: 2,
            mac: Mac::default(),
            addresses: vec![address.parse().expect("a prefix")],
        }
    }
}
