//! SanmonConfigs: pools and settings, each value checked.

use std::net::IpAddr;

use gateway_crds::{AddressPool, Mode};
use gateway_ir::{AddressRange, DatapathMode, DatapathSettings, Pool};

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
                found.push((name.name.to_string(), ip));
            }
        }
    }
    found
}
