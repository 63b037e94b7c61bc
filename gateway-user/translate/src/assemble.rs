//! The snapshot out of Gateways, their addresses and what the routes bring to their listeners.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use gateway_ir::{
    HttpPort, Listener, ListenerId, ListenerTls, ObjectName, PortProtocol, Protocol, Routing,
    Service, ServiceTarget, Snapshot, Vip,
};

use crate::ground::Ground;
use crate::hosts::Hosts;
use crate::l4_route::{self, Family};
use crate::listener::{Addresses, GatewayState, ListenerState};
use crate::model::ListenerProtocol;
use crate::streams::Streams;

pub(crate) fn snapshot(ground: &Ground, hosts: &Hosts, streams: &Streams) -> Snapshot {
    let Ground {
        config, gateways, ..
    } = ground;
    let accepted = gateways.values().filter(|it| it.refused.is_none());
    let mut vips: Vec<Vip> = accepted.flat_map(|it| it.vips().iter().cloned()).collect();
    vips.sort();
    let mut pools: Vec<_> = config.pools.iter().map(|it| it.pool.clone()).collect();
    pools.sort();
    Snapshot {
        vips,
        pools,
        services: services(gateways, streams),
        http: http_ports(gateways, hosts, streams),
        announce: config.announce.clone(),
        datapath: config.datapath.clone(),
        proxy: config.workers.clone(),
    }
}

impl GatewayState {
    fn vips(&self) -> &[Vip] {
        match &self.addresses {
            Addresses::Vips(vips) => vips,
            Addresses::None | Addresses::Local(_) => &[],
        }
    }

    fn serving(&self) -> impl Iterator<Item = &ListenerState> {
        self.listeners.iter().filter(|it| self.serves(it))
    }
}

fn services(gateways: &BTreeMap<ObjectName, GatewayState>, streams: &Streams) -> Vec<Service> {
    // Several HTTP listeners share a port: one frontend, labelled with the first of them.
    let mut services: BTreeMap<(IpAddr, u16, Protocol), Service> = BTreeMap::new();
    for gateway in gateways.values() {
        for listener in gateway.serving() {
            for vip in gateway.vips() {
                if let Some(service) = service(vip, listener, streams) {
                    let key = (service.vip, service.port, service.protocol);
                    services.entry(key).or_insert(service);
                }
            }
        }
    }
    services.into_values().collect()
}

fn service(vip: &Vip, listener: &ListenerState, streams: &Streams) -> Option<Service> {
    let (port, _hostname) = listener.place()?;
    let protocol = match listener.model.protocol {
        ListenerProtocol::Udp => Protocol::Udp,
        ListenerProtocol::Tcp
        | ListenerProtocol::Http
        | ListenerProtocol::Https
        | ListenerProtocol::Tls => Protocol::Tcp,
        ListenerProtocol::Unsupported(_) => return None,
    };
    let is_l4 = matches!(
        listener.model.protocol,
        ListenerProtocol::Tcp | ListenerProtocol::Udp
    );
    Some(Service {
        vip: vip.address,
        port,
        protocol,
        listener: listener.id.clone(),
        target: if is_l4 {
            let shares = streams.l4.get(&listener.id).map(|it| it.shares.as_slice());
            let family = if vip.address.is_ipv4() {
                Family::V4
            } else {
                Family::V6
            };
            l4_route::target(shares.unwrap_or_default(), family, protocol)
        } else {
            ServiceTarget::Proxy
        },
    })
}

fn http_ports(
    gateways: &BTreeMap<ObjectName, GatewayState>,
    hosts: &Hosts,
    streams: &Streams,
) -> Vec<HttpPort> {
    let mut listeners: BTreeMap<ListenerId, (PortProtocol, Listener)> = BTreeMap::new();
    let mut sockets: BTreeMap<(u16, Option<IpAddr>), Vec<ListenerId>> = BTreeMap::new();
    for gateway in gateways.values() {
        for state in gateway.serving() {
            let Some((protocol, listener)) = compile(state, hosts, streams) else {
                continue;
            };
            listeners.insert(state.id.clone(), (protocol, listener));
            let ports = state.place().map(|(port, _)| port);
            for (port, address) in ports.into_iter().flat_map(|port| gateway.sockets(port)) {
                sockets
                    .entry((port, address))
                    .or_default()
                    .push(state.id.clone());
            }
        }
    }
    // Addresses with the same listeners are one port.
    let mut ports: BTreeMap<(u16, Vec<ListenerId>), Vec<IpAddr>> = BTreeMap::new();
    for ((port, address), ids) in sockets {
        ports.entry((port, ids)).or_default().extend(address);
    }
    let ports = ports.into_iter().filter_map(|((port, ids), addresses)| {
        let members = ids.iter().filter_map(|id| listeners.get(id));
        let (protocols, mut members): (Vec<PortProtocol>, Vec<Listener>) = members.cloned().unzip();
        members.sort_by(|a, b| {
            let specificity = b.hostname.specificity().cmp(&a.hostname.specificity());
            specificity.then_with(|| a.id.cmp(&b.id))
        });
        // Only without pools several Gateways share an address and a port.
        let gateway = gateways.get(&ids.first()?.gateway)?;
        Some(HttpPort {
            addresses,
            port,
            protocol: *protocols.first()?,
            listeners: members,
            settings: Arc::clone(&gateway.settings),
        })
    });
    let mut ports: Vec<HttpPort> = ports.collect();
    ports.sort_by(|a, b| (&a.addresses, a.port).cmp(&(&b.addresses, b.port)));
    ports
}

impl GatewayState {
    /// What gate 3 listens on for a port of the Gateway; no address: all of the machine.
    fn sockets(&self, port: u16) -> Vec<(u16, Option<IpAddr>)> {
        match &self.addresses {
            Addresses::None => Vec::new(),
            Addresses::Local(addresses) if addresses.is_empty() => vec![(port, None)],
            Addresses::Local(addresses) => addresses.iter().map(|it| (port, Some(*it))).collect(),
            Addresses::Vips(vips) => vips.iter().map(|vip| (port, Some(vip.address))).collect(),
        }
    }
}

fn compile(
    state: &ListenerState,
    hosts: &Hosts,
    streams: &Streams,
) -> Option<(PortProtocol, Listener)> {
    let protocol = match state.model.protocol {
        ListenerProtocol::Http => PortProtocol::Http,
        ListenerProtocol::Https | ListenerProtocol::Tls => PortProtocol::Tls,
        ListenerProtocol::Tcp | ListenerProtocol::Udp | ListenerProtocol::Unsupported(_) => {
            return None;
        }
    };
    let (_port, hostname) = state.place()?;
    let listener = Listener {
        id: state.id.clone(),
        hostname: hostname.clone(),
        tls: state.ends_tls().then(|| ListenerTls {
            certificates: state.certificates.iter().map(Arc::clone).collect(),
            clients: state.clients.clone(),
        }),
        routing: if state.model.protocol == ListenerProtocol::Tls {
            let names = streams.tls.get(&state.id).into_iter().flatten();
            let names = names.map(|(host, it)| (host.clone(), Arc::clone(&it.program)));
            Routing::Stream(names.collect())
        } else {
            Routing::Http(hosts.of(&state.id))
        },
    };
    Some((protocol, listener))
}
