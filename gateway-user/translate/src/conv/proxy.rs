//! Settings of the proxy, of all Gateways and of one, each value checked.

use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use gateway_crds::{
    Forwarded, GatewayProxy, GrpcWeb, Proxy, ProxyProtocolPort, ProxyProtocolVersion,
    ReceiveProxyHeaders,
};
use gateway_ir::{
    self as ir, ForwardedHeaders, ProxyHeaderVersion, ProxyHeaders, ProxyProtocol, ProxySettings,
    WorkerSettings,
};
use ipnet::IpNet;

use crate::kinds::{SanmonConfig, SanmonGatewayConfig};

/// Proxies in a row; more than anybody has.
const HOPS_MAX: u8 = 16;

/// What a SanmonConfig says of the proxy.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    pub(crate) workers: WorkerSettings,
    /// Of Gateways that have no settings of their own.
    pub(crate) gateways: ProxySettings,
    /// Values that cannot be: their defaults are in force.
    pub(crate) refused: Vec<String>,
}

pub(crate) fn proxies(config: &SanmonConfig) -> Proxies {
    let mut proxies = Proxies::default();
    let Some(given) = &config.spec.proxy else {
        return proxies;
    };
    let refused = &mut proxies.refused;
    workers(given, &mut proxies.workers, refused);
    apply(&given.gateway, &mut proxies.gateways, refused);
    proxies
}

/// The settings of a Gateway: those of all, and in their place what its own configuration has.
///
/// # Errors
/// When a value cannot be; each is named.
pub(crate) fn of_gateway(
    config: &SanmonGatewayConfig,
    all: &ProxySettings,
) -> Result<ProxySettings, Vec<String>> {
    let (mut settings, mut refused) = (all.clone(), Vec::new());
    if let Some(given) = &config.spec.proxy {
        apply(given, &mut settings, &mut refused);
    }
    if refused.is_empty() {
        Ok(settings)
    } else {
        Err(refused)
    }
}

fn workers(given: &Proxy, settings: &mut WorkerSettings, refused: &mut Vec<String>) {
    let idle = &given.upstream_idle_timeout;
    set_duration(
        "upstreamIdleTimeout",
        idle,
        &mut settings.upstream_idle_timeout,
        refused,
    );
    let drain = &given.drain_timeout;
    set_duration("drainTimeout", drain, &mut settings.drain_timeout, refused);
    let connections = (given.connections_max, 1..=u32::MAX);
    set_number(
        "connectionsMax",
        connections,
        &mut settings.connections_max,
        refused,
    );
}

fn apply(given: &GatewayProxy, settings: &mut ProxySettings, refused: &mut Vec<String>) {
    deadlines(given, settings, refused);
    limits(given, settings, refused);
    forwarding(given, settings, refused);
    proxy_protocol(&given.proxy_protocol, settings, refused);
}

fn deadlines(given: &GatewayProxy, settings: &mut ProxySettings, refused: &mut Vec<String>) {
    let mut set = |name, text, setting| set_duration(name, text, setting, refused);
    let handshake = &mut settings.tls_handshake_timeout;
    set(
        "tlsHandshakeTimeout",
        &given.tls_handshake_timeout,
        handshake,
    );
    set(
        "headerTimeout",
        &given.header_timeout,
        &mut settings.header_timeout,
    );
    set(
        "idleTimeout",
        &given.idle_timeout,
        &mut settings.idle_timeout,
    );
    set(
        "connectTimeout",
        &given.connect_timeout,
        &mut settings.connect_timeout,
    );
    let authorization = &mut settings.authorization_timeout;
    set(
        "authorizationTimeout",
        &given.authorization_timeout,
        authorization,
    );
}

fn limits(given: &GatewayProxy, settings: &mut ProxySettings, refused: &mut Vec<String>) {
    let mut set = |name, value, setting| set_number(name, value, setting, refused);
    let header = (given.header_bytes_max, 1024..=1 << 20);
    set("headerBytesMax", header, &mut settings.header_bytes_max);
    let path = (given.path_bytes_max, 64..=1 << 20);
    set("pathBytesMax", path, &mut settings.path_bytes_max);
    let streams = (given.streams_max, 1..=65_535);
    set("streamsMax", streams, &mut settings.streams_max);
    let replay = (given.replay_bytes_max, 0..=1 << 24);
    set("replayBytesMax", replay, &mut settings.replay_bytes_max);
}

fn forwarding(given: &GatewayProxy, settings: &mut ProxySettings, refused: &mut Vec<String>) {
    if !given.trusted_proxies.is_empty() {
        settings.trusted_proxies.clear();
    }
    for text in &given.trusted_proxies {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        match text.parse::<IpNet>().or(address) {
            Ok(net) => settings.trusted_proxies.push(net.trunc()),
            Err(_syntax) => refused.push(format!(
                "proxy.trustedProxies {text:?} is not a CIDR or an address"
            )),
        }
    }
    settings.trusted_proxies.sort_unstable();
    settings.trusted_proxies.dedup();
    match given.trusted_hops {
        None => {}
        Some(hops @ 0..=HOPS_MAX) => settings.trusted_hops = hops,
        Some(hops) => refused.push(format!("proxy.trustedHops {hops} is not in 0..={HOPS_MAX}")),
    }
    match given.grpc_web {
        None => {}
        Some(GrpcWeb::PassedThrough) => settings.grpc_web = ir::GrpcWeb::PassedThrough,
        Some(GrpcWeb::Translated) => settings.grpc_web = ir::GrpcWeb::Translated,
    }
    match given.forwarded {
        None => {}
        Some(Forwarded::XForwarded) => settings.forwarded = ForwardedHeaders::XForwarded,
        Some(Forwarded::XForwardedAndForwarded) => {
            settings.forwarded = ForwardedHeaders::XForwardedAndForwarded;
        }
    }
}

/// The ports with the PROXY protocol, in the place of those that were there. A header that nobody may send would close no
/// door and open none: it is a mistake to ask for that.
fn proxy_protocol(
    given: &[ProxyProtocolPort],
    settings: &mut ProxySettings,
    refused: &mut Vec<String>,
) {
    if !given.is_empty() {
        settings.proxy_protocol.clear();
    }
    for entry in given {
        let port = u16::try_from(entry.port).ok().filter(|port| *port > 0);
        let Some(port) = port else {
            refused.push(format!(
                "proxy.proxyProtocol port {} is not in 1..=65535",
                entry.port
            ));
            continue;
        };
        let receive = match entry.receive.unwrap_or_default() {
            ReceiveProxyHeaders::None => ProxyHeaders::None,
            ReceiveProxyHeaders::FromTrustedProxies => ProxyHeaders::OfTrustedProxies,
        };
        if receive == ProxyHeaders::OfTrustedProxies && settings.trusted_proxies.is_empty() {
            refused.push(format!(
                "proxy.proxyProtocol port {port} receives from trustedProxies, and there are none"
            ));
            continue;
        }
        let send = entry.send.map(|version| match version {
            ProxyProtocolVersion::V1 => ProxyHeaderVersion::V1,
            ProxyProtocolVersion::V2 => ProxyHeaderVersion::V2,
        });
        match settings.proxy_protocol.entry(port) {
            Entry::Vacant(entry) => drop(entry.insert(ProxyProtocol { receive, send })),
            Entry::Occupied(_) => {
                refused.push(format!("proxy.proxyProtocol names port {port} twice"));
            }
        }
    }
}

/// Takes over a duration that is given; one that is refused leaves what was there in force and is named.
fn set_duration(
    name: &str,
    text: &Option<String>,
    setting: &mut Duration,
    refused: &mut Vec<String>,
) {
    match text.as_deref().map(duration) {
        None => {}
        Some(Some(duration)) => *setting = duration,
        Some(None) => refused.push(format!(
            "proxy.{name} is not a duration above zero such as 500ms or 1m30s"
        )),
    }
}

/// The same for a number and the range that it must be in.
fn set_number(
    name: &str,
    (value, range): (Option<u32>, RangeInclusive<u32>),
    setting: &mut u32,
    refused: &mut Vec<String>,
) {
    match value {
        None => {}
        Some(value) if range.contains(&value) => *setting = value,
        Some(value) => refused.push(format!("proxy.{name} {value} is not in {range:?}")),
    }
}

/// Gateway API: GEP-2257. No deadline may be zero: a proxy without deadlines is one that a slow client can stop.
fn duration(text: &str) -> Option<Duration> {
    let parsed = text.parse::<gateway_api::Duration>().ok()?;
    (!parsed.is_zero()).then(|| Duration::new(parsed.as_secs(), parsed.subsec_nanos()))
}
