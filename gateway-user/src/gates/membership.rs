//! The other nodes from this process's side: where they are, what heartbeats are signed with, and what is counted.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Sender;
use std::time::Duration;

use gateway_announce::membership::Member;
use gateway_announce::membership::heartbeat::{Heartbeat, NodeId, Serving};
use gateway_announce::wire::{Keys, PORT};
use gateway_announce::{Decision, Ownership, Part};
use gateway_control::status::fleet::Runs;
use gateway_control::{Cordon, MembershipKey, Peer, Published};
use gateway_ir::{Generation, NodeName};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing::warn;

use super::Order;
use super::heartbeats::{Heartbeats, Traffic, fits};
use crate::board::{self, Board, Neighbor};

/// What this process knows of the others.
#[derive(Debug)]
pub(super) struct Company {
    node: NodeName,
    orders: Sender<Order>,
    peers: Vec<Peer>,
    names: BTreeMap<NodeId, (NodeName, Option<IpAddr>)>,
    key: Option<MembershipKey>,
    heartbeats: Option<Heartbeats>,
    /// What the next heartbeats come by, in place of a socket of their own.
    socket: Option<UdpSocket>,
    traffic: Traffic,
    won: Counter,
    lost: Counter,
    conflicts: Counter,
    round_trips: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
}

impl Company {
    pub(super) fn new(node: NodeName, orders: Sender<Order>, board: &Board) -> Self {
        let company = Self {
            node,
            orders,
            peers: Vec::new(),
            names: BTreeMap::new(),
            key: None,
            heartbeats: None,
            socket: None,
            traffic: Traffic::default(),
            won: Counter::default(),
            lost: Counter::default(),
            conflicts: Counter::default(),
            round_trips: Family::default(),
        };
        board.registry(board::Part::Membership, company.registry());
        company
    }

    /// Takes over who the others are and opens the socket when it is needed; gives how this node takes part, and what is
    /// in the way.
    pub(super) fn follow(
        &mut self,
        published: &Published,
        running: Generation,
        cordon: Cordon,
    ) -> (Option<Part>, Option<String>) {
        if self.peers != published.peers {
            self.peers.clone_from(&published.peers);
            let name = |it: &Peer| (NodeId::of(&it.node), (it.node.clone(), it.address));
            self.names = self.peers.iter().map(name).collect();
        }
        let is_alone = self.peers.iter().all(|peer| peer.node == self.node);
        let Some(key) = published.membership_key.as_ref().filter(|_| !is_alone) else {
            self.heartbeats = None;
            self.key = None;
            return (None, None);
        };
        if let Err(why) = self.connect(key) {
            self.heartbeats = None;
            return (None, Some(why));
        }
        let serving = match cordon {
            Cordon::Cordoned => Serving::Reserve,
            Cordon::Open => Serving::Everything,
        };
        let generation = running.0;
        (
            Some(Part {
                serving,
                generation,
            }),
            None,
        )
    }

    /// Reads no heartbeat any more until [`Self::follow`] is called, and gives the socket where they come in.
    pub(super) fn pause(&mut self) -> Option<UdpSocket> {
        let socket = self.heartbeats.take()?.close();
        self.socket = socket.inspect_err(|error| warn!(%error, "heartbeats")).ok();
        self.socket.as_ref()?.try_clone().ok()
    }

    /// Goes on where heartbeats come in already.
    pub(super) fn inherit(&mut self, socket: UdpSocket) {
        self.socket = Some(socket);
    }

    pub(super) fn send(&self, heartbeat: &Heartbeat) {
        let address = self.names.get(&heartbeat.to).and_then(|it| it.1);
        if let (Some(heartbeats), Some(address)) = (&self.heartbeats, address) {
            heartbeats.send(heartbeat, address);
        }
    }

    /// The name of a node.
    pub(super) fn name(&self, node: NodeId) -> Option<NodeName> {
        self.names.get(&node).map(|it| it.0.clone())
    }

    /// Shows how far the others are.
    pub(super) fn note(&self, members: &[Member]) -> Vec<Runs> {
        for member in members {
            if let (Some(name), Some(round_trip)) = (self.name(member.node), member.round_trip) {
                let label = [("node", name.0)];
                self.round_trips
                    .get_or_create(&label)
                    .set(round_trip.as_secs_f64());
            }
        }
        let runs = members.iter().filter_map(|member| {
            Some(Runs {
                node: self.name(member.node)?,
                generation: Generation(member.generation),
            })
        });
        runs.collect()
    }

    /// The others as they were heard last; `offset` is the time of day when the monotonic clock was zero.
    pub(super) fn neighbors(&self, members: &[Member], offset: Duration) -> Vec<Neighbor> {
        let neighbor = |member: &Member| {
            let (node, address) = self.names.get(&member.node)?.clone();
            Some(Neighbor {
                node,
                address,
                heard_ms: member.heard.map(|at| (offset + at).as_millis()),
                round_trip_us: member.round_trip.map(|it| it.as_micros()),
                generation: Generation(member.generation),
            })
        };
        members.iter().filter_map(neighbor).collect()
    }

    /// Counts what has changed hands.
    pub(super) fn count(&self, before: &[Ownership], now: &[Ownership]) {
        let held = |owners: &[Ownership], vip| {
            let mut owners = owners.iter();
            owners.any(|it| it.vip == vip && it.decision == Decision::Announce)
        };
        for owner in now {
            match (held(before, owner.vip), held(now, owner.vip)) {
                (false, true) => drop(self.won.inc()),
                (true, false) => drop(self.lost.inc()),
                (false, false) | (true, true) => {}
            }
            let last = before.iter().find(|it| it.vip == owner.vip);
            let last = last.and_then(|it| it.conflict).map(|it| it.seen);
            if owner.conflict.is_some_and(|it| Some(it.seen) != last) {
                self.conflicts.inc();
            }
        }
    }

    fn connect(&mut self, key: &MembershipKey) -> Result<(), String> {
        let mut own = self.peers.iter().filter(|peer| peer.node == self.node);
        let Some(address) = own.find_map(|peer| peer.address) else {
            return Err(format!(
                "no Node object gives {} an InternalIP, so the other nodes cannot reach it",
                self.node
            ));
        };
        if self.key.as_ref() == Some(key)
            && self.heartbeats.as_ref().is_some_and(|it| it.fits(address))
        {
            return Ok(());
        }
        let keys = Keys::new(&key.current, key.previous.as_deref())
            .map_err(|error| format!("Secret sanmon-membership: {error}"))?;
        match &self.heartbeats {
            Some(heartbeats) if heartbeats.fits(address) => heartbeats.rekey(keys),
            Some(_) | None => {
                // The port is free only when the former socket is closed.
                self.heartbeats = None;
                let orders = self.orders.clone();
                let deliver = move |heartbeat| {
                    // Nobody listens any more when the process is ending.
                    drop(orders.send(Order::Heartbeat(Box::new(heartbeat))));
                };
                let inherited = self.socket.take().filter(|it| fits(it, address));
                let socket = inherited.map_or_else(|| Heartbeats::bind(address), Ok);
                let opened = socket.and_then(|socket| {
                    Heartbeats::open(socket, keys, self.traffic.clone(), deliver)
                });
                let opened = opened.map_err(|error| format!("UDP port {PORT}: {error}"))?;
                self.heartbeats = Some(opened);
            }
        }
        self.key = Some(key.clone());
        Ok(())
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("sanmon_membership");
        let traffic = &self.traffic;
        let help = "Heartbeats that were sent";
        registry.register("heartbeats_sent", help, traffic.sent.clone());
        let help = "Heartbeats that came and were rightly signed";
        registry.register("heartbeats_received", help, traffic.received.clone());
        let help = "Datagrams on the port of heartbeats that were none, or wrongly signed";
        registry.register("heartbeats_refused", help, traffic.refused.clone());
        let help = "VIPs that this node has taken over";
        registry.register("vips_won", help, self.won.clone());
        let help = "VIPs that this node has given up or lost";
        registry.register("vips_lost", help, self.lost.clone());
        let help = "Claims of other machines to VIPs that this node holds";
        registry.register("conflicts", help, self.conflicts.clone());
        let help = "From a heartbeat to its echo, the last one of each node";
        registry.register("round_trip_seconds", help, self.round_trips.clone());
        registry
    }
}
