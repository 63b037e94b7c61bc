//! SanmonConfigs: pools and settings, each value checked.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use gateway_crds::{AddressPool, Forwarded, Mode, Proxy};
use gateway_ir::{
    AddressRange, DatapathMode, DatapathSettings, ForwardedHeaders, Pool, ProxySettings,
};
use ipnet::IpNet;

use super::meta::selector;
use crate::inputs::Inputs;
use crate::kinds::SanmonConfig;
use crate::model::Selector;

/// A pool as configured.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredPool {
    pub(crate) pool: Pool,
    pub(crate) assign: Assign,
    /// The namespaces that may use it; none: all.
    pub(crate) namespaces: Option<Selector>,
}

/// Who gets an address of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assign {
    /// Gateways that ask for none, too.
    Automatic,
    /// Only Gateways that ask for one of its addresses.
    OnRequest,
}

pub(crate) fn pools(config: &SanmonConfig) -> Vec<Result<ConfiguredPool, String>> {
    config.spec.address_pools.iter().map(pool).collect()
}

fn pool(pool: &AddressPool) -> Result<ConfiguredPool, String> {
    let name = &pool.name;
    if name.is_empty() {
        return Err("a pool has no name".to_owned());
    }
    let mut ranges: Vec<AddressRange> = Vec::new();
    for text in &pool.addresses {
        let range = text.parse::<AddressRange>();
        let range = range.map_err(|error| format!("pool {name}: {text}: {error}"))?;
        usable(range).map_err(|why| format!("pool {name}: {text} {why}"))?;
        if let Some(other) = ranges.iter().find(|other| other.overlaps(&range)) {
            return Err(format!("pool {name}: {range} overlaps {other}"));
        }
        ranges.push(range);
    }
    if ranges.is_empty() {
        return Err(format!("pool {name} has no addresses"));
    }
    Ok(ConfiguredPool {
        pool: Pool {
            name: name.clone(),
            ranges,
            interfaces: pool.interfaces.clone(),
        },
        assign: if pool.auto_assign.unwrap_or(true) {
            Assign::Automatic
        } else {
            Assign::OnRequest
        },
        namespaces: pool.namespaces.as_ref().map(selector),
    })
}

/// Refuses ranges with addresses that no host can have.
fn usable(range: AddressRange) -> Result<(), String> {
    let ends = [range.first(), range.last()];
    // Loopback, multicast and the unspecified address are each the start or the end of a block, or a whole block
    // wider than any sane pool: a range that holds one and starts and ends outside is caught by its size.
    if ends
        .iter()
        .any(|end| end.is_loopback() || end.is_multicast() || end.is_unspecified())
    {
        return Err("holds a loopback, multicast or unspecified address".to_owned());
    }
    let too_wide = match (range.first(), range.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            u32::from(last).abs_diff(u32::from(first)) >= 1 << 24
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            u128::from(last).abs_diff(u128::from(first)) >= 1 << 96
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => true,
    };
    if too_wide {
        return Err("is wider than a /8 (IPv4) or a /32 (IPv6)".to_owned());
    }
    Ok(())
}

pub(crate) fn datapath(config: &SanmonConfig) -> DatapathSettings {
    let mode = config.spec.datapath.as_ref().and_then(|it| it.mode);
    DatapathSettings {
        mode: match mode.unwrap_or_default() {
            Mode::Auto => DatapathMode::Auto,
            Mode::Native => DatapathMode::Native,
            Mode::Tc => DatapathMode::Tc,
        },
        interfaces: config.spec.interfaces.clone(),
    }
}

/// Reads the proxy's settings; a value that is refused leaves its default in force and is named.
pub(crate) fn proxy(config: &SanmonConfig) -> (ProxySettings, Vec<String>) {
    let mut settings = ProxySettings::default();
    let mut refused = Vec::new();
    if let Some(given) = &config.spec.proxy {
        deadlines(given, &mut settings, &mut refused);
        limits(given, &mut settings, &mut refused);
        forwarding(given, &mut settings, &mut refused);
    }
    (settings, refused)
}

fn deadlines(given: &Proxy, settings: &mut ProxySettings, refused: &mut Vec<String>) {
    let mut set = |name: &str, text: &Option<String>, setting: &mut Duration| match text
        .as_deref()
        .map(duration)
    {
        None => {}
        Some(Some(duration)) => *setting = duration,
        Some(None) => refused.push(format!(
            "proxy.{name} is not a duration above zero such as 500ms or 1m30s"
        )),
    };
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
    let upstream_idle = &mut settings.upstream_idle_timeout;
    set(
        "upstreamIdleTimeout",
        &given.upstream_idle_timeout,
        upstream_idle,
    );
    set(
        "drainTimeout",
        &given.drain_timeout,
        &mut settings.drain_timeout,
    );
}

fn limits(given: &Proxy, settings: &mut ProxySettings, refused: &mut Vec<String>) {
    let mut set =
        |name: &str, value: Option<u32>, range: RangeInclusive<u32>, setting: &mut u32| match value
        {
            None => {}
            Some(value) if range.contains(&value) => *setting = value,
            Some(value) => refused.push(format!("proxy.{name} {value} is not in {range:?}")),
        };
    let bytes = &mut settings.header_bytes_max;
    set(
        "headerBytesMax",
        given.header_bytes_max,
        1024..=1 << 20,
        bytes,
    );
    set(
        "pathBytesMax",
        given.path_bytes_max,
        64..=1 << 20,
        &mut settings.path_bytes_max,
    );
    set(
        "streamsMax",
        given.streams_max,
        1..=65_535,
        &mut settings.streams_max,
    );
    let connections = &mut settings.connections_max;
    set(
        "connectionsMax",
        given.connections_max,
        1..=u32::MAX,
        connections,
    );
    let replay = &mut settings.replay_bytes_max;
    set(
        "replayBytesMax",
        given.replay_bytes_max,
        0..=1 << 24,
        replay,
    );
}

fn forwarding(given: &Proxy, settings: &mut ProxySettings, refused: &mut Vec<String>) {
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
    settings.forwarded = match given.forwarded.unwrap_or_default() {
        Forwarded::XForwarded => ForwardedHeaders::XForwarded,
        Forwarded::XForwardedAndForwarded => ForwardedHeaders::XForwardedAndForwarded,
    };
}

/// Gateway API: GEP-2257. No deadline may be zero: a proxy without deadlines is one that a slow client can stop.
fn duration(text: &str) -> Option<Duration> {
    let parsed = text.parse::<gateway_api::Duration>().ok()?;
    (!parsed.is_zero()).then(|| Duration::new(parsed.as_secs(), parsed.subsec_nanos()))
}

/// The addresses of a Node that are its own on the cluster's network.
pub(crate) fn node_addresses(inputs: &Inputs) -> Vec<(String, IpAddr)> {
    let mut found = Vec::new();
    for (name, node) in &inputs.nodes {
        let addresses = node
            .status
            .as_ref()
            .and_then(|status| status.addresses.as_deref());
        for address in addresses.unwrap_or_default() {
            if matches!(address.type_.as_str(), "InternalIP" | "ExternalIP")
                && let Ok(ip) = address.address.parse()
            {
                found.push((name.name.clone(), ip));
            }
        }
    }
    found
}
