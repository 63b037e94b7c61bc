//! Listeners that a request or packet could not tell apart.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_ir::{HostPattern, ListenerId, ObjectName};

use crate::listener::{Addresses, GatewayState, ListenerState};
use crate::model::{ListenerProtocol, Problem};
use crate::status::Reason;

/// Marks every conflicted listener.
pub(crate) fn find(gateways: &mut BTreeMap<ObjectName, GatewayState>) {
    for gateway in gateways.values_mut() {
        within(&mut gateway.listeners);
    }
    across(gateways);
}

/// A Gateway's own listeners win over those of its ListenerSets, and those over the sets behind them. Inside one
/// object no one wins (Gateway API: "MUST NOT pick one conflicting Listener as the winner").
fn within(listeners: &mut [ListenerState]) {
    let mut start = 0;
    while let Some(first) = listeners.get(start) {
        let owner = first.owner.clone();
        let same = listeners.iter().skip(start);
        let end = start + same.take_while(|it| it.owner == owner).count();
        let (earlier, rest) = listeners.split_at_mut(start);
        let (own, _later) = rest.split_at_mut(end - start);
        for listener in own.iter_mut() {
            let mut winners = earlier.iter().filter(|it| it.conflict.is_none());
            listener.conflict = winners.find_map(|other| conflict(listener, other));
        }
        // One that has lost to another object is in nobody's way.
        let left: Vec<&ListenerState> = own.iter().filter(|it| it.conflict.is_none()).collect();
        let among: Vec<Option<Problem>> = own
            .iter()
            .map(|one| {
                let mut equals = left.iter().filter(|other| other.id != one.id);
                equals.find_map(|other| conflict(one, other))
            })
            .collect();
        for (listener, among) in own.iter_mut().zip(among) {
            listener.conflict = listener.conflict.take().or(among);
        }
        start = end;
    }
}

fn conflict(one: &ListenerState, other: &ListenerState) -> Option<Problem> {
    let (port, hostname) = one.place()?;
    let (other_port, other_hostname) = other.place()?;
    if port != other_port {
        return None;
    }
    let reason = clash(
        (&one.model.protocol, hostname),
        (&other.model.protocol, other_hostname),
    )?;
    Some(problem(reason, port, &other.id))
}

/// Whether two listeners on one port exclude each other. TLS that ends and TLS that is passed through share a port,
/// with HTTPS too: the name that the client asks for decides.
fn clash(
    (protocol, hostname): (&ListenerProtocol, &HostPattern),
    (other_protocol, other_hostname): (&ListenerProtocol, &HostPattern),
) -> Option<Reason> {
    use ListenerProtocol::{Http, Https, Tcp, Tls, Udp, Unsupported};
    match (protocol, other_protocol) {
        (Unsupported(_), _) | (_, Unsupported(_)) => None,
        (Udp, Udp) | (Tcp, Tcp) => Some(Reason::ProtocolConflict),
        (Udp, Http | Https | Tls | Tcp) | (Http | Https | Tls | Tcp, Udp) => None,
        (Http, Http) | (Https | Tls, Https | Tls) => {
            (hostname == other_hostname).then_some(Reason::HostnameConflict)
        }
        (Http, Https | Tls | Tcp) | (Https | Tls, Http | Tcp) | (Tcp, Http | Https | Tls) => {
            Some(Reason::ProtocolConflict)
        }
    }
}

fn problem(reason: Reason, port: u16, other: &ListenerId) -> Problem {
    let what = if reason == Reason::HostnameConflict {
        "port and hostname"
    } else {
        "port"
    };
    Problem::new(
        reason,
        format!("listener {other} has the same {what} ({port})"),
    )
}

/// A local address and port that gate 3 listens on; no address: all.
type Socket = (Option<IpAddr>, u16);

/// Gateways without VIPs share the machine's addresses: there the older Gateway wins.
fn across(gateways: &mut BTreeMap<ObjectName, GatewayState>) {
    let mut order: Vec<ObjectName> = gateways.keys().cloned().collect();
    order.sort_by(|a, b| {
        let age = |name| gateways.get(name).map(|gateway| gateway.model.meta.age());
        age(a).cmp(&age(b))
    });
    let mut taken: BTreeMap<Socket, Vec<(ListenerProtocol, HostPattern, ListenerId)>> =
        BTreeMap::new();
    for name in order {
        let Some(gateway) = gateways.get_mut(&name) else {
            continue;
        };
        let Addresses::Local(addresses) = &gateway.addresses else {
            continue;
        };
        let sockets = sockets(addresses);
        // TCP and UDP need a VIP: here they are not served at all.
        let http = |it: &&mut ListenerState| {
            matches!(
                it.model.protocol,
                ListenerProtocol::Http | ListenerProtocol::Https | ListenerProtocol::Tls
            )
        };
        for listener in gateway.listeners.iter_mut().filter(http) {
            listener.conflict = listener
                .conflict
                .take()
                .or_else(|| lost(listener, &sockets, &taken));
            let Some((port, hostname)) = listener.place().filter(|_| listener.conflict.is_none())
            else {
                continue;
            };
            for address in &sockets {
                let entry = (
                    listener.model.protocol.clone(),
                    hostname.clone(),
                    listener.id.clone(),
                );
                taken.entry((*address, port)).or_default().push(entry);
            }
        }
    }
}

fn sockets(addresses: &[IpAddr]) -> Vec<Option<IpAddr>> {
    if addresses.is_empty() {
        return vec![None];
    }
    addresses.iter().copied().map(Some).collect()
}

fn lost(
    listener: &ListenerState,
    sockets: &[Option<IpAddr>],
    taken: &BTreeMap<Socket, Vec<(ListenerProtocol, HostPattern, ListenerId)>>,
) -> Option<Problem> {
    let (port, hostname) = listener.place()?;
    let others = sockets
        .iter()
        .filter_map(|address| taken.get(&(*address, port)))
        .flatten();
    others
        .filter(|(_, _, id)| id.gateway != listener.id.gateway)
        .find_map(|(protocol, other, id)| {
            let reason = clash((&listener.model.protocol, hostname), (protocol, other))?;
            Some(problem(reason, port, id))
        })
}
